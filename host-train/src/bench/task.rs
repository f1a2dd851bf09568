//! The task that all contenders work on.

use crate::fused::device::Products;
use crate::fused::lanes::Activation;
use crate::rng::TrainRng;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A network, a batch and an optimizer. The loss is the mean squared error of the noise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Number of inputs, of each hidden layer's rows, and of outputs.
    pub widths: Vec<usize>,
    /// Activation of the hidden layers: `relu` or `silu`.
    pub activation: Activation,
    /// Rows of a batch.
    pub batch: usize,
    /// Number of batches, taken in turn.
    pub batches: usize,
    /// Learning rate.
    pub rate: f64,
    /// AdamW's decay of the first moment.
    pub beta_1: f64,
    /// AdamW's decay of the second moment.
    pub beta_2: f64,
    /// AdamW's addend to the root of the second moment.
    pub epsilon: f64,
    /// Weight decay of all parameters.
    pub decay: f64,
    /// Number format of a GPU's products.
    pub products: Products,
}

/// Dimensions of the data.
const DIM: usize = 64;
/// Inputs that show the noise level to the network.
const FEATURES: usize = 32;

impl Task {
    /// Returns a task with three hidden layers of one width between 64 + 32 inputs and 64 outputs.
    pub fn new(width: usize, batch: usize, activation: Activation, products: Products) -> Self {
        Self {
            widths: vec![DIM + FEATURES, width, width, width, DIM],
            activation,
            batch,
            // Enough that none is memorized, few enough for memory.
            batches: (1usize << 16).div_ceil(batch).clamp(2, 16),
            rate: 1e-3,
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-8,
            decay: 0.01,
            products,
        }
    }

    /// Returns the floating-point operations of a step's products: forward, and backward for the weights and for every
    /// layer's input but the first's.
    pub fn operations(&self) -> f64 {
        let layers = || self.widths.iter().zip(self.widths.iter().skip(1));
        let macs: usize = layers().map(|(a, b)| a * b).sum();
        let first = layers().next().map_or(0, |(a, b)| a * b);
        2.0 * self.batch as f64 * (3 * macs - first) as f64
    }

    /// Writes weights, biases, inputs and targets into a folder, as `f32` in the machine's byte order.
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
            // A wave of random phase and pitch: data that a network can learn.
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
