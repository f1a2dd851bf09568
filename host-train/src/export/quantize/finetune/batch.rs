//! Batches of states.

use crate::export::quantize::states::States;
use crate::rng::TrainRng;
use ancestral::Q3_12;
use anyhow::{Context, Result};
use candle_core::{Device, Tensor};

/// A batch of states.
pub struct StateBatch {
    /// The states in units of the state (integers), `(n, D)`.
    pub(super) z: Tensor,
    /// Row t − 1 of each state in the tables of the steps, `n`.
    pub(super) row: Tensor,
    /// Step t of each state, for the integer layers.
    pub(super) t: Vec<usize>,
}

impl StateBatch {
    /// Takes the states at the positions `chosen`.
    pub fn new(states: &States, chosen: &[usize], device: &Device) -> Result<Self> {
        let missing = |index| {
            format!(
                "state {index} was asked for, but calibration has {}: please report this",
                states.t.len()
            )
        };
        let mut z = Vec::with_capacity(chosen.len() * states.dim);
        let mut t = Vec::with_capacity(chosen.len());
        for &index in chosen {
            let state = states.z.get(index * states.dim..(index + 1) * states.dim);
            z.extend(
                state
                    .with_context(|| missing(index))?
                    .iter()
                    .map(|q: &Q3_12| f64::from(q.0)),
            );
            t.push(*states.t.get(index).with_context(|| missing(index))?);
        }
        let row: Vec<u32> = t.iter().map(|&t| t as u32 - 1).collect();
        Ok(Self {
            z: Tensor::from_vec(z, (chosen.len(), states.dim), device)?,
            row: Tensor::from_vec(row, chosen.len(), device)?,
            t,
        })
    }

    /// Draws `size` states uniformly with replacement.
    pub(super) fn draw(states: &States, size: usize, rng: &mut TrainRng, device: &Device) -> Result<Self> {
        let chosen: Vec<usize> = (0..size).map(|_| rng.below(states.len())).collect();
        Self::new(states, &chosen, device)
    }
}
