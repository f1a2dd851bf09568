//! Checks of a configuration's values.

use super::gamma_start::check_ends;
use super::schema::{Config, ModelConfig, Time, TrainConfig};
use crate::model::variance::VarianceKind;
use anyhow::{Result, bail, ensure};

impl Config {
    /// Checks that every value is in its range, and that the parts fit each other.
    pub(super) fn check(&self) -> Result<()> {
        self.model.check()?;
        self.train.check()?;
        for (key, value) in [
            ("validate_every", self.train.validate_every),
            ("patience", self.train.patience),
        ] {
            ensure!(value != Some(0), "train.{key} is 0: at least 1 is needed");
            ensure!(
                value.is_none() || self.data.may_validate_on(1),
                "train.{key} needs rows to validate on: set data.validation_rows, or leave train.{key} out"
            );
        }
        Ok(())
    }
}

impl ModelConfig {
    /// Checks that every value is in its range.
    fn check(&self) -> Result<()> {
        let m = self;
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
        if let (Some(first), Some(last)) = (m.gamma_first, m.gamma_last) {
            check_ends(first, last)?;
        }
        ensure!(
            m.gamma_last_bound.is_none_or(|bound| (-20.0..=15.0).contains(&bound)),
            "model.gamma_last_bound is {}: between -20 and 15 is possible",
            m.gamma_last_bound.unwrap_or_default()
        );
        ensure!(
            (0.0..=1.0).contains(&m.eta),
            "model.eta is {}: a share of the posterior's noise is between 0 and 1",
            m.eta
        );
        let variance = m.variance.unwrap_or_default();
        ensure!(
            m.eta == 1.0 || variance == VarianceKind::Posterior,
            "model.eta is {} and model.variance is \"{}\": less noise than the posterior's and a learned variance \
             exclude each other; set eta to 1 or the variance to \"posterior\"",
            m.eta,
            variance.name()
        );
        ensure!(
            m.time == Time::Discrete || variance == VarianceKind::Posterior,
            "model.variance is \"{}\" with model.time = \"continuous\": infinitely short steps allow no variance but \
             the posterior's; set it to \"posterior\"",
            variance.name()
        );
        Ok(())
    }
}

impl TrainConfig {
    /// Checks that every value is in its range.
    fn check(&self) -> Result<()> {
        let t = self;
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
