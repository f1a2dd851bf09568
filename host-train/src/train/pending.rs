//! Sums of the loss since the last row of the log.

use super::log::LossRow;
use serde::{Deserialize, Serialize};

/// Sums of the loss's terms since the last row of the log. A checkpoint holds them as a pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "([f64; 3], u64)", into = "([f64; 3], u64)")]
pub struct PendingLoss {
    /// Sums of reconstruction, prior and diffusion in bits per dimension.
    pub sums: [f64; 3],
    /// Number of steps summed.
    pub steps: u64,
}

impl PendingLoss {
    /// Adds the terms of one step in nats per row, each multiplied by `unit`.
    pub fn add(&mut self, terms: [f32; 3], unit: f64) {
        for (sum, term) in self.sums.iter_mut().zip(terms) {
            *sum += f64::from(term) * unit;
        }
        self.steps += 1;
    }

    /// Returns the means as a row of the log and starts again from zero.
    pub fn take_row(&mut self, step: u64) -> LossRow {
        let taken = std::mem::take(self);
        LossRow {
            step,
            terms: taken.sums.map(|sum| sum / taken.steps as f64),
            validation: None,
        }
    }
}

impl From<([f64; 3], u64)> for PendingLoss {
    fn from((sums, steps): ([f64; 3], u64)) -> Self {
        Self { sums, steps }
    }
}

impl From<PendingLoss> for ([f64; 3], u64) {
    fn from(pending: PendingLoss) -> Self {
        (pending.sums, pending.steps)
    }
}
