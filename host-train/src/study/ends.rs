//! What the two ends of a chain cost, over a grid of γ: the reconstruction where it begins there, the prior where it ends there.

use crate::data::{Dataset, ValueKind};
use crate::rng::TrainRng;
use ancestral::decoder::Decoder;
use ancestral::schedule::{alpha, prior_nats, sigma, snr};
use rayon::prelude::*;
use std::marker::PhantomData;

/// Nats per row.
#[derive(Clone, Debug)]
pub struct Ends {
    /// `⟨−ln p(x | z_0)⟩` if γ_0 is that point of the grid.
    pub reconstruction: Vec<f64>,
    /// `⟨D_KL(q(z_T | x) ‖ N(0, I))⟩` if γ_T is.
    pub prior: Vec<f64>,
}

/// Over the rows of `data`, each noised once, with the same noise at every point.
pub fn measure(data: &Dataset, grid: &[f64], seed: u64) -> Ends {
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
    Ends {
        reconstruction: reconstruction.collect(),
        prior: grid
            .iter()
            .map(|&gamma| prior_nats(gamma, energy, data.rows.len()) / rows)
            .collect(),
    }
}
