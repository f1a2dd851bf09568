//! Settings of fine-tuning.

use anyhow::{Result, ensure};
use serde::Serialize;

/// Settings of fine-tuning.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct FineTune {
    /// Optimizer steps.
    pub steps: u64,
    /// Number of states in a batch.
    pub batch: usize,
    /// Adam's learning rate at the start, instead of the format's own; it falls to a hundredth along a cosine.
    pub learning_rate: Option<f64>,
    /// Seed of the batches.
    pub seed: u64,
}

impl Default for FineTune {
    fn default() -> Self {
        Self {
            steps: 2000,
            batch: 256,
            learning_rate: None,
            seed: 1,
        }
    }
}

impl FineTune {
    /// Checks the settings; an error names the option to change.
    pub fn check(&self) -> Result<()> {
        ensure!(self.steps > 0, "--steps 0 fine-tunes nothing: leave --finetune out");
        ensure!(
            self.batch > 0,
            "--batch 0 leaves nothing to learn from: at least 1 is needed"
        );
        let rate = self.learning_rate.unwrap_or(1.0);
        ensure!(
            rate.is_finite() && rate > 0.0,
            "--learning-rate is {rate}, but must be a positive number: leave it out for the format's own"
        );
        Ok(())
    }
}
