//! Speed of training beside PyTorch: one network, one loss, one optimiser, the same numbers in the same order.
//!
//! Every contender is a process of its own that answers one JSON object per line ([`Partner`]): this program with its fused operations and
//! with candle's own, and PyTorch by `bench/partner.py`. They begin at the same weights, train on the same batches, and take turns.

#[cfg(feature = "cuda")]
mod gpu;
mod ours;
mod partner;
mod rate;

pub use ours::serve;
pub use partner::{Partner, Request};

use crate::fused::device::Products;
use crate::fused::lanes::Activation;
use crate::rng::TrainRng;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The PyTorch side.
pub const SCRIPT: &str = include_str!("../bench/partner.py");

/// A network, a batch and an optimiser. The loss is the mean squared error of the noise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Inputs, rows of the hidden layers, outputs.
    pub widths: Vec<usize>,
    /// Of the hidden layers: `relu` or `silu`.
    pub activation: Name,
    /// Rows of a batch.
    pub batch: usize,
    /// Batches, gone through in turn.
    pub batches: usize,
    /// Learning rate.
    pub rate: f64,
    /// AdamW's constants.
    pub beta_1: f64,
    /// AdamW's constants.
    pub beta_2: f64,
    /// AdamW's constants.
    pub epsilon: f64,
    /// Weight decay of all parameters.
    pub decay: f64,
    /// How a GPU multiplies.
    pub products: Products,
}

/// An activation by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Name {
    /// See [`Activation::Relu`].
    Relu,
    /// See [`Activation::Silu`].
    Silu,
}

impl From<Name> for Activation {
    fn from(name: Name) -> Self {
        match name {
            Name::Relu => Self::Relu,
            Name::Silu => Self::Silu,
        }
    }
}

/// Dimensions of the data.
const DIM: usize = 64;
/// What shows the network the noise level.
const FEATURES: usize = 32;

impl Task {
    /// Three hidden layers of one width between 64 + 32 inputs and 64 outputs.
    pub fn new(width: usize, batch: usize, activation: Name, products: Products) -> Self {
        Self {
            widths: vec![DIM + FEATURES, width, width, width, DIM],
            activation,
            batch,
            // Enough that none is learned by heart, few enough to lie in memory.
            batches: (1usize << 16).div_ceil(batch).clamp(2, 16),
            rate: 1e-3,
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-8,
            decay: 0.01,
            products,
        }
    }

    /// Floating-point operations of the products of a step: forward, and backward for the weights and for every layer's input but the
    /// first's.
    pub fn operations(&self) -> f64 {
        let layers = || self.widths.iter().zip(self.widths.iter().skip(1));
        let macs: usize = layers().map(|(a, b)| a * b).sum();
        let first = layers().next().map_or(0, |(a, b)| a * b);
        2.0 * self.batch as f64 * (3 * macs - first) as f64
    }

    /// Writes weights, biases, inputs and targets into a folder, `f32` in the machine's order of bytes.
    pub fn write(&self, folder: &Path, seed: u64) -> Result<()> {
        let mut rng = TrainRng::new(seed);
        let layers = || self.widths.iter().zip(self.widths.iter().skip(1));
        let mut weights = Vec::new();
        for (&columns, &rows) in layers() {
            let scale = (2.0 / columns as f32).sqrt();
            weights.extend((0..rows * columns).map(|_| rng.normal() * scale));
        }
        let biases = vec![0.0; layers().map(|(_, rows)| rows).sum()];
        let (mut inputs, mut targets) = (Vec::new(), Vec::new());
        for _ in 0..self.batch * self.batches {
            // A wave of random phase and pitch: data that a network can learn something about.
            let (phase, pitch) = (6.3 * rng.uniform(), 0.1 + 0.4 * rng.uniform());
            let gamma = -8.0 + 14.0 * rng.uniform();
            let (alpha, sigma) = (ancestral::schedule::alpha(gamma), ancestral::schedule::sigma(gamma));
            for i in 0..DIM {
                let (x, noise) = ((phase + pitch * i as f32).sin(), rng.normal());
                inputs.push(alpha * x + sigma * noise);
                targets.push(noise);
            }
            let waves = (0..FEATURES / 2).map(|k| 0.4 * gamma * 1.35f32.powi(k as i32 - 8));
            inputs.extend(waves.flat_map(|w| [w.sin(), w.cos()]));
        }
        for (name, values) in [
            ("weights", &weights),
            ("biases", &biases),
            ("inputs", &inputs),
            ("targets", &targets),
        ] {
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_ne_bytes()).collect();
            let path = folder.join(name);
            std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}
