//! Costs of the two ends of a chain over a grid of γ: reconstruction if it begins there, prior if it ends there.

use crate::data::{Dataset, ValueKind};
use crate::rng::TrainRng;
use ancestral::decoder::Decoder;
use ancestral::schedule::{alpha, prior_nats, sigma, snr};
use rayon::prelude::*;
use std::marker::PhantomData;

/// Costs of beginning and of ending at each point of a grid, in nats per row.
#[derive(Clone, Debug)]
pub struct EndCosts {
    /// `⟨−ln p(x | z_0)⟩` with γ_0 at that point.
    pub reconstruction: Vec<f64>,
    /// `⟨D_KL(q(z_T | x) ‖ N(0, I))⟩` with γ_T at that point.
    pub prior: Vec<f64>,
}

/// Measures the costs on the rows of `data`, each noised once, with the same noise at every point.
pub fn measure_ends(data: &Dataset, grid: &[f64], seed: u64) -> EndCosts {
    let rows = data.len().max(1) as f64;
    let mut rng = TrainRng::new(seed ^ 0xE4D5);
    let noise = rng.matched_normals(data.len(), data.dim);
    let energy: f64 = data.rows.iter().map(|x| f64::from(*x).powi(2)).sum();
    let (levels, mean, scale): (u16, &[f32], &[f32]) = match &data.kind {
        ValueKind::Levels { levels } => (*levels, &[], &[]),
        ValueKind::Continuous { mean, scale } => (0, mean, scale),
    };
    let reconstruction = grid.par_iter().map(|&gamma| {
        let (alpha, sigma) = (alpha(gamma), sigma(gamma));
        let decoder = Decoder::<f32> {
            levels,
            inverse_alpha: (1.0 / alpha) as f32,
            snr: snr(gamma) as f32,
            last_alpha_squared: 0.0,
            last_log_variance: 0.0,
            mean,
            scale,
            number: PhantomData,
        };
        let pairs = data.rows.chunks(data.dim).zip(noise.chunks(data.dim));
        let nats = pairs.map(|(x, n)| {
            let z: Vec<f32> = x
                .iter()
                .zip(n)
                .map(|(x, n)| alpha as f32 * x + sigma as f32 * n)
                .collect();
            -f64::from(decoder.log_likelihood(x, &z))
        });
        nats.sum::<f64>() / rows
    });
    EndCosts {
        reconstruction: reconstruction.collect(),
        prior: grid
            .iter()
            .map(|&gamma| prior_nats(gamma, energy, data.rows.len()) / rows)
            .collect(),
    }
}
