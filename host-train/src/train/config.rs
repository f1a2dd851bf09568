//! A run's configuration: one TOML file with every hyper-parameter.

use crate::data::DataSpec;
use crate::fused::device::Products;
use crate::model::gamma::CourseKind;
use crate::model::variance::VarianceKind;
use ancestral::schedule::Prediction;
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Everything that determines a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Seed of everything random in training: initial weights, batches, times, noise.
    pub seed: u64,
    /// Where the rows come from.
    pub data: DataSpec,
    /// The network and its schedule.
    pub model: ModelConfig,
    /// The optimisation.
    pub train: TrainConfig,
}

/// Which ELBO is trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Time {
    /// That of the chain of T steps.
    #[default]
    Discrete,
    /// That of infinitely many; T is then how many straight pieces γ has, and how many steps an export takes.
    Continuous,
}

/// Where the rows, times, noise and dropout of a step come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Generator {
    /// From a generator whose state goes from step to step.
    #[default]
    Sequential,
    /// From the seed and the number of the step ([`crate::rng::Counter`]): what a GPU draws by itself, and the CPU too, to the bit.
    Counter,
}

/// The network and its schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Rows of each hidden layer. Neighbours of equal width get a residual connection.
    pub hidden: Vec<usize>,
    /// Width of the step's embedding; folded into biases at export, so it costs the device nothing.
    pub embedding: usize,
    /// The network's output.
    #[serde(with = "prediction")]
    pub prediction: Prediction,
    /// T.
    pub steps: usize,
    /// Which ELBO is trained.
    #[serde(default)]
    pub time: Time,
    /// The reverse variance: the posterior's own, or a parameter per step and direction.
    #[serde(default)]
    pub variance: VarianceKind,
    /// Share η of the posterior's noise in an exported step: 1 for the ancestral sampler, 0 for the deterministic one (DDIM). Below 1 an
    /// export draws samples alone.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub eta: f64,
    /// What γ between its ends is made of.
    #[serde(default)]
    pub gamma: CourseKind,
    /// γ_0 at the beginning of training.
    pub gamma_first: f64,
    /// γ_T at the beginning of training.
    pub gamma_last: f64,
    /// Learn γ, its end points included.
    pub learn_gamma: bool,
    /// Clip x̂ to [−1, 1] when sampling and scoring; for data of that range only.
    pub clip: bool,
}

/// The optimisation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Optimiser steps.
    pub steps: u64,
    /// Rows per step.
    pub batch: usize,
    /// Peak learning rate of the network.
    pub learning_rate: f64,
    /// Peak learning rate of the γ table.
    pub gamma_learning_rate: f64,
    /// The learning rate falls along a cosine to this fraction of its peak.
    pub final_fraction: f64,
    /// Steps over which the learning rate rises from 0.
    pub warmup: u64,
    /// AdamW's decay of the weight matrices.
    pub weight_decay: f64,
    /// Share of the hidden units dropped while training.
    #[serde(default)]
    pub dropout: f64,
    /// AdamW's decay of the first moment.
    #[serde(default = "beta_1")]
    pub beta_1: f64,
    /// AdamW's decay of the second moment.
    #[serde(default = "beta_2")]
    pub beta_2: f64,
    /// Added to the root of the second moment.
    #[serde(default = "epsilon")]
    pub epsilon: f64,
    /// Gradients with a larger norm are scaled down to it.
    pub clip_norm: f64,
    /// Decay of the moving average of the parameters, which is what is evaluated and exported.
    pub ema: f64,
    /// Seconds between checkpoints.
    pub checkpoint_seconds: u64,
    /// Steps between rows of the loss log.
    pub log_every: u64,
    /// Where the rows, times, noise and dropout of a step come from.
    #[serde(default, skip_serializing_if = "is_default")]
    pub generator: Generator,
    /// How a GPU multiplies matrices.
    #[serde(default, skip_serializing_if = "is_default")]
    pub products: Products,
    /// Whether a GPU gets a whole step as one CUDA graph.
    #[serde(default, skip_serializing_if = "is_default")]
    pub graph: bool,
}

/// The core's [`Prediction`] as a word of a configuration.
mod prediction {
    use ancestral::schedule::Prediction;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    #[derive(serde::Serialize, serde::Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Word {
        V,
        X,
    }

    pub fn serialize<S: Serializer>(prediction: &Prediction, serializer: S) -> Result<S::Ok, S::Error> {
        match prediction {
            Prediction::V => Word::V,
            Prediction::X => Word::X,
        }
        .serialize(serializer)
    }

    pub fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Prediction, D::Error> {
        Ok(match Word::deserialize(deserializer)? {
            Word::V => Prediction::V,
            Word::X => Prediction::X,
        })
    }
}

fn one() -> f64 {
    1.0
}

fn is_one(value: &f64) -> bool {
    *value == 1.0
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn beta_1() -> f64 {
    0.9
}

fn beta_2() -> f64 {
    0.99
}

fn epsilon() -> f64 {
    1e-8
}

impl Config {
    /// Reads and checks a configuration. Errors name the file, the line and the key.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the configuration {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("the configuration {} is not usable", path.display()))
    }

    /// From TOML text, checked.
    pub fn parse(text: &str) -> Result<Self> {
        let config: Self = toml::from_str(text).map_err(|error| in_one_line(text, &error))?;
        config.check()?;
        Ok(config)
    }

    /// As TOML text.
    pub fn to_toml(&self) -> Result<String> {
        Ok(toml::to_string(self)?)
    }

    fn check(&self) -> Result<()> {
        let (m, t) = (&self.model, &self.train);
        ensure!(
            !m.hidden.is_empty(),
            "model.hidden is empty: name the rows of at least one hidden layer"
        );
        for &rows in &m.hidden {
            ensure!(
                (1..=32_768).contains(&rows),
                "model.hidden has a layer of {rows} rows: between 1 and 32768 are possible"
            );
        }
        ensure!(
            (1..=4096).contains(&m.embedding),
            "model.embedding is {}: between 1 and 4096 is possible",
            m.embedding
        );
        ensure!(
            (1..=65_534).contains(&m.steps),
            "model.steps is {}: between 1 and 65534 is possible",
            m.steps
        );
        ensure!(
            m.gamma_first.is_finite() && m.gamma_last.is_finite() && m.gamma_first < m.gamma_last,
            "model.gamma_first = {} must be below model.gamma_last = {}",
            m.gamma_first,
            m.gamma_last
        );
        ensure!(
            (0.0..=1.0).contains(&m.eta),
            "model.eta is {}: a share of the posterior's noise is between 0 and 1",
            m.eta
        );
        ensure!(
            m.eta == 1.0 || m.variance == VarianceKind::Posterior,
            "model.eta is {} and model.variance is \"{}\": less noise than the posterior's and another variance exclude each other",
            m.eta,
            m.variance.name()
        );
        ensure!(
            m.time == Time::Discrete || m.variance == VarianceKind::Posterior,
            "model.variance is \"{}\" with model.time = \"continuous\": where steps are infinitely short no other variance than the posterior's is \
             possible; set it to \"posterior\"",
            m.variance.name()
        );
        ensure!(t.batch >= 1, "train.batch is 0: at least one row is needed");
        ensure!(t.log_every >= 1, "train.log_every is 0: at least 1 is needed");
        ensure!(
            (0.0..1.0).contains(&t.ema),
            "train.ema is {}: it must be at least 0 and below 1",
            t.ema
        );
        for (name, value) in [("beta_1", t.beta_1), ("beta_2", t.beta_2)] {
            ensure!(
                (0.0..1.0).contains(&value),
                "train.{name} is {value}: it must be at least 0 and below 1"
            );
        }
        for (name, value) in [
            ("epsilon", t.epsilon),
            ("learning_rate", t.learning_rate),
            ("gamma_learning_rate", t.gamma_learning_rate),
            ("final_fraction", t.final_fraction),
            ("weight_decay", t.weight_decay),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                bail!("train.{name} is {value}: it must be a number of at least 0");
            }
        }
        ensure!(
            (0.0..1.0).contains(&t.dropout),
            "train.dropout is {}: it must be at least 0 and below 1",
            t.dropout
        );
        ensure!(
            t.clip_norm > 0.0,
            "train.clip_norm is {}: it must be above 0",
            t.clip_norm
        );
        Ok(())
    }
}

/// The parser's message with its line, without the excerpt that it draws over several lines.
fn in_one_line(text: &str, error: &toml::de::Error) -> anyhow::Error {
    let line = error
        .span()
        .and_then(|span| text.get(..span.start))
        .map(|before| before.matches('\n').count() + 1);
    match line {
        Some(line) => anyhow::anyhow!("line {line}: {}", error.message()),
        None => anyhow::anyhow!("{}", error.message()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &str = include_str!("../../configs/digits.toml");

    #[test]
    fn shipped_configurations_are_read_and_written_back() {
        for text in [
            DIGITS,
            include_str!("../../configs/demo.toml"),
            include_str!("../../configs/digits-continuous.toml"),
        ] {
            let config = Config::parse(text).unwrap();
            assert_eq!(Config::parse(&config.to_toml().unwrap()).unwrap(), config);
        }
    }

    #[test]
    fn an_unknown_key_is_named() {
        let error = Config::parse(&DIGITS.replace("warmup", "warm_up")).unwrap_err();
        let sentence = format!("{error:#}");
        assert!(sentence.contains("line 27: unknown field `warm_up`"), "{sentence}");
    }

    #[test]
    fn values_out_of_range_are_named() {
        for (from, to, key) in [
            ("batch = 256", "batch = 0", "train.batch"),
            ("ema = 0.9995", "ema = 1.0", "train.ema"),
            ("steps = 64 ", "steps = 0 ", "model.steps"),
            ("gamma_last = 6.0", "gamma_last = -9.0", "model.gamma_last"),
            ("hidden = [256, 256, 256, 256]", "hidden = []", "model.hidden"),
            ("weight_decay = 0.05", "weight_decay = -1.0", "train.weight_decay"),
        ] {
            assert!(DIGITS.contains(from), "{from}");
            let sentence = format!("{:#}", Config::parse(&DIGITS.replace(from, to)).unwrap_err());
            assert!(sentence.contains(key), "{sentence}");
        }
    }
}
