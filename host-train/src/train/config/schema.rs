//! The keys of a configuration.

use super::prediction::{DecoderKind, PredictionKind};
use crate::data::{DataSpec, ValueKind};
use crate::fused::device::Products;
use crate::model::gamma::CurveKind;
use crate::model::variance::VarianceKind;
use serde::{Deserialize, Serialize};

/// Configuration of a run: everything that determines it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Seed of everything random in training: initial weights, batches, times, noise.
    pub seed: u64,
    /// Source of the rows.
    pub data: DataSpec,
    /// The network and its schedule.
    pub model: ModelConfig,
    /// The optimization.
    pub train: TrainConfig,
}

/// The ELBO that is trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Time {
    /// The ELBO of the chain of T steps.
    #[default]
    Discrete,
    /// The ELBO of infinitely many steps. T is then the number of straight pieces of γ, and of the steps of an export.
    Continuous,
}

/// Generator of the rows, times, noise and dropout of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Generator {
    /// A generator whose state goes from step to step.
    #[default]
    Sequential,
    /// A function of the seed and the number of the step ([`crate::rng::Counter`]). CPU and GPU draw the same bits.
    Counter,
}

/// The network and its schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Rows of each hidden layer. Neighbors of equal width get a residual connection.
    pub hidden: Vec<usize>,
    /// Width of the step's embedding. Export folds it into biases, so it costs the device nothing.
    pub embedding: usize,
    /// Meaning of the network's output.
    pub prediction: PredictionKind,
    /// Kind of p(x | z_0).
    #[serde(default)]
    pub decoder: DecoderKind,
    /// Number of steps of the chain, T.
    pub steps: usize,
    /// The ELBO that is trained.
    #[serde(default)]
    pub time: Time,
    /// The reverse variance: the posterior's own, or a parameter per step and direction. By default
    /// [`Self::variance_of`] the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variance: Option<VarianceKind>,
    /// Share η of the posterior's noise in an exported step: 1 for the ancestral sampler, 0 for the deterministic one
    /// (DDIM). Below 1, an export can only draw samples.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub eta: f64,
    /// Parametrization of γ between its ends.
    #[serde(default)]
    pub gamma: CurveKind,
    /// γ_0 at the beginning of training; by default from the data ([`Self::gamma_start`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gamma_first: Option<f64>,
    /// γ_T at the beginning of training; by default from the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gamma_last: Option<f64>,
    /// Lower bound of γ_T while it is learned: by default 6.22 for continuous data and none for levels. A lower
    /// `gamma_last` is raised to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gamma_last_bound: Option<f64>,
    /// Learn γ, its end points included.
    pub learn_gamma: bool,
    /// Clip x̂ to [−1, 1] in training, sampling and scoring; for data of that range, and not for odds.
    #[serde(default)]
    pub clip: bool,
}

/// The optimization.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Number of optimizer steps.
    pub steps: u64,
    /// Rows per step.
    pub batch: usize,
    /// Peak learning rate of the network.
    pub learning_rate: f64,
    /// Peak learning rate of the γ table.
    pub gamma_learning_rate: f64,
    /// Fraction of its peak to which the learning rate falls along a cosine.
    pub final_fraction: f64,
    /// Steps over which the learning rate rises from 0.
    pub warmup: u64,
    /// AdamW's decay of the weight matrices.
    pub weight_decay: f64,
    /// Share of the hidden units that training drops.
    #[serde(default)]
    pub dropout: f64,
    /// AdamW's decay of the first moment.
    #[serde(default = "beta_1")]
    pub beta_1: f64,
    /// AdamW's decay of the second moment.
    #[serde(default = "beta_2")]
    pub beta_2: f64,
    /// Addend to the root of the second moment.
    #[serde(default = "epsilon")]
    pub epsilon: f64,
    /// Largest norm of a gradient; larger ones are scaled down to it.
    pub clip_norm: f64,
    /// Decay of the moving average of the parameters. The average is evaluated and exported.
    pub ema: f64,
    /// Seconds between checkpoints.
    pub checkpoint_seconds: u64,
    /// Steps between rows of the loss log.
    pub log_every: u64,
    /// Steps between measurements of the ELBO on the validation rows. By default about 50 in a run, and fewer where
    /// they would take more than a few percent of its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validate_every: Option<u64>,
    /// Number of such measurements without a new best after which training ends early; by default it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<u64>,
    /// Generator of the rows, times, noise and dropout of a step.
    #[serde(default, skip_serializing_if = "is_default")]
    pub generator: Generator,
    /// Arithmetic of a GPU's matrix products.
    #[serde(default, skip_serializing_if = "is_default")]
    pub products: Products,
    /// Sends a whole step to the GPU as one CUDA graph.
    #[serde(default, skip_serializing_if = "is_default")]
    pub graph: bool,
}

impl ModelConfig {
    /// Returns the kind of reverse variance for a kind of data: by default rotated for continuous data, if the training
    /// allows it, and the posterior's for levels.
    pub fn variance_of(&self, kind: &ValueKind) -> VarianceKind {
        let free = self.time == Time::Discrete && self.eta == 1.0;
        self.variance.unwrap_or(match kind {
            ValueKind::Continuous { .. } if free => VarianceKind::Rotated,
            _ => VarianceKind::Posterior,
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
