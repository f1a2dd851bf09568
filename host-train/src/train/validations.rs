//! The record of a run's validations: the best averaged parameters so far, and when they were found.

use crate::optimizer::Slot;
use anyhow::Result;
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// A measurement of the ELBO on the validation rows. A checkpoint holds the number's bits, because text would round it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "(u64, u64)", into = "(u64, u64)")]
pub struct Validation {
    /// Number of steps done.
    pub step: u64,
    /// Negative ELBO in bits per dimension, in the loss's units.
    pub bits_per_dim: f64,
}

impl From<(u64, u64)> for Validation {
    fn from((step, bits): (u64, u64)) -> Self {
        Self {
            step,
            bits_per_dim: f64::from_bits(bits),
        }
    }
}

impl From<Validation> for (u64, u64) {
    fn from(validation: Validation) -> Self {
        (validation.step, validation.bits_per_dim.to_bits())
    }
}

/// The best averaged parameters of a run.
pub struct BestWeights {
    /// Their measurement.
    pub validation: Validation,
    /// One tensor per parameter, in the optimizer's order.
    pub weights: Vec<Tensor>,
}

/// The record of a run's validations.
#[derive(Default)]
pub struct ValidationRecord {
    /// The best, once there is one.
    pub best: Option<BestWeights>,
    /// Number of measurements since the best.
    pub since_best: u64,
}

impl ValidationRecord {
    /// Records a measurement. If it is the best so far, the present averages are kept.
    pub fn add(&mut self, validation: Validation, slots: &[Slot]) -> Result<()> {
        let best = self.best.as_ref().map_or(f64::INFINITY, |b| b.validation.bits_per_dim);
        if validation.bits_per_dim < best {
            let copies = slots.iter().map(|slot| slot.average()?.copy());
            self.best = Some(BestWeights {
                validation,
                weights: copies.collect::<candle_core::Result<_>>()?,
            });
            self.since_best = 0;
        } else {
            self.since_best += 1;
        }
        Ok(())
    }
}
