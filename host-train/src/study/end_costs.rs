//! Costs of the two ends of a chain over a grid of γ: reconstruction if it begins there, prior if it ends there.

use super::cost::decoder_cost;
use super::paths::value_or_nan;
use super::residuals::{Residuals, locate};
use crate::data::{Dataset, ValueKind};
use crate::rng::TrainRng;
use crate::train::checkpoint::Run;
use crate::train::config::DecoderKind;
use ancestral::decoder::Decoder;
use ancestral::level_draw::LevelDraw;
use ancestral::schedule::{alpha, prior_nats, sigma, snr};
use rayon::prelude::*;
use std::marker::PhantomData;

/// Costs of beginning and of ending at each point of a grid, in nats per row.
#[derive(Clone, Debug)]
pub struct EndCosts {
    gamma: Vec<f64>,
    /// `⟨−ln p(x | z_0)⟩` with γ_0 at each point.
    reconstruction: Reconstruction,
    /// `⟨D_KL(q(z_T | x) ‖ N(0, I))⟩` with γ_T at each point.
    pub prior: Vec<f64>,
}

/// Cost of the decoder.
#[derive(Clone, Debug)]
enum Reconstruction {
    /// At each point of the grid.
    Measured(Vec<f64>),
    /// It follows from the errors and the variances of the network decoder of continuous data, and from these nats: the
    /// logarithms of the scales.
    OfErrors(f64),
}

/// Measures the costs on the rows of `data`.
///
/// * `run`: with its averaged parameters in place;
/// * `residuals`: those of its network on the same rows.
pub fn measure_ends(run: &Run, data: &Dataset, residuals: &[&Residuals], seed: u64) -> EndCosts {
    let grid = residuals.first().map_or(&[][..], |r| &r.gamma);
    let rows = data.len().max(1) as f64;
    let energy: f64 = data.rows.iter().map(|x| f64::from(*x).powi(2)).sum();
    let reconstruction = match (run.config.model.decoder, &data.kind) {
        (DecoderKind::Factorized, _) => Reconstruction::Measured(factorized_nats(data, grid, seed)),
        (DecoderKind::Network, ValueKind::Continuous { scale, .. }) => {
            Reconstruction::OfErrors(scale.iter().map(|s| f64::from(*s).ln()).sum())
        }
        (DecoderKind::Network, ValueKind::Levels { .. }) => Reconstruction::Measured(mean_level_nats(residuals)),
    };
    EndCosts {
        gamma: grid.to_vec(),
        reconstruction,
        prior: grid
            .iter()
            .map(|&gamma| prior_nats(gamma, energy, data.rows.len()) / rows)
            .collect(),
    }
}

impl EndCosts {
    /// Cost of beginning at a γ, linear between the points of the grid.
    ///
    /// * `variances`, `errors`: variances of the network decoder of continuous data, and mean squared errors of x̂ at
    ///   that γ, per direction.
    pub fn reconstruction(&self, gamma: f64, variances: &[f64], errors: &[f64]) -> f64 {
        match &self.reconstruction {
            Reconstruction::Measured(nats) => self.interpolate(nats, gamma),
            Reconstruction::OfErrors(units) => units + decoder_cost(variances, errors),
        }
    }

    /// Cost of ending at a γ, linear between the points of the grid.
    pub fn prior(&self, gamma: f64) -> f64 {
        self.interpolate(&self.prior, gamma)
    }

    /// Returns whether the decoder has variances of its own.
    pub fn have_deviations(&self) -> bool {
        matches!(self.reconstruction, Reconstruction::OfErrors(_))
    }

    fn interpolate(&self, values: &[f64], gamma: f64) -> f64 {
        let (index, share) = locate(&self.gamma, gamma);
        let low = value_or_nan(values, index);
        low + share * (values.get(index + 1).copied().unwrap_or(low) - low)
    }
}

/// Cost of the network decoder of levels on all the rows that were measured.
fn mean_level_nats(residuals: &[&Residuals]) -> Vec<f64> {
    let rows: usize = residuals.iter().map(|r| r.rows).sum();
    let points = residuals.first().map_or(0, |r| r.level_nats.len());
    let mean = |i: usize| {
        let sums = residuals.iter().map(|r| value_or_nan(&r.level_nats, i) * r.rows as f64);
        sums.sum::<f64>() / rows.max(1) as f64
    };
    (0..points).map(mean).collect()
}

/// Cost of the factorized decoder, with each row noised once and the same noise at every point.
fn factorized_nats(data: &Dataset, grid: &[f64], seed: u64) -> Vec<f64> {
    let mut rng = TrainRng::new(seed ^ 0xE4D5);
    let noise = rng.matched_normals(data.len(), data.dim);
    let (levels, mean, scale): (u16, &[f32], &[f32]) = match &data.kind {
        ValueKind::Levels { levels } => (*levels, &[], &[]),
        ValueKind::Continuous { mean, scale } => (0, mean, scale),
    };
    let at = |&gamma: &f64| {
        let (alpha, sigma) = (alpha(gamma), sigma(gamma));
        let decoder = Decoder::<f32> {
            levels,
            network: false,
            center_scale: (1.0 / alpha) as f32,
            snr: snr(gamma) as f32,
            last_alpha_squared: 0.0,
            last_log_variance: 0.0,
            mean,
            scale,
            draw: LevelDraw::default(),
            deviations: &[],
            basis: &[],
            nats: 0.0,
            number: PhantomData,
        };
        let pairs = data.rows.chunks(data.dim).zip(noise.chunks(data.dim));
        let nats = pairs.map(|(x, n)| {
            let scaled = x.iter().zip(n).map(|(x, n)| alpha as f32 * x + sigma as f32 * n);
            let mut z: Vec<f32> = scaled.collect();
            -f64::from(decoder.log_likelihood(x, &mut z))
        });
        nats.sum::<f64>() / data.len().max(1) as f64
    };
    grid.par_iter().map(at).collect()
}
