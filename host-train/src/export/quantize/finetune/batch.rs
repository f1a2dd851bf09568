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
    /// Row of each state in the tables of the network's calls, `n`.
    pub(super) row: Tensor,
    /// The same, for the integer layers.
    pub(super) calls: Vec<usize>,
    /// Positions of the states with t = 0, those of the network decoder.
    pub(super) decoded: Vec<u32>,
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
        let mut calls = Vec::with_capacity(chosen.len());
        let mut decoded = Vec::new();
        for (position, &index) in chosen.iter().enumerate() {
            let state = states.z.get(index * states.dim..(index + 1) * states.dim);
            z.extend(
                state
                    .with_context(|| missing(index))?
                    .iter()
                    .map(|q: &Q3_12| f64::from(q.0)),
            );
            let t = *states.t.get(index).with_context(|| missing(index))?;
            calls.push(t - states.first);
            if t == 0 {
                decoded.push(position as u32);
            }
        }
        let row: Vec<u32> = calls.iter().map(|&call| call as u32).collect();
        Ok(Self {
            z: Tensor::from_vec(z, (chosen.len(), states.dim), device)?,
            row: Tensor::from_vec(row, chosen.len(), device)?,
            calls,
            decoded,
        })
    }

    /// Draws `size` states uniformly with replacement.
    pub(super) fn draw(states: &States, size: usize, rng: &mut TrainRng, device: &Device) -> Result<Self> {
        let chosen: Vec<usize> = (0..size).map(|_| rng.below(states.len())).collect();
        Self::new(states, &chosen, device)
    }
}
