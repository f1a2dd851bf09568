//! Weights and biases in half precision.

use crate::export::quantize::with_layers;
use ancestral::model::{LayerSpec, ModelSpec};
use ancestral::{F16, F32};
use anyhow::{Result, bail};
use half::f16;

/// Rounds weights and biases to half precision.
///
/// # Errors
///
/// If a value is beyond the range of half precision.
pub fn round_to_half(spec: &ModelSpec<F32>) -> Result<ModelSpec<F16>> {
    let mut layers = Vec::new();
    for (index, layer) in spec.layers.iter().enumerate() {
        let round = |values: &[f32], width: usize| -> Result<Vec<f16>> {
            let halves: Vec<f16> = values.iter().map(|&v| f16::from_f32(v)).collect();
            if let Some(bad) = halves.iter().position(|h| !h.is_finite()) {
                bail!(
                    "layer {index}, row {}: the value {} is beyond the range of half precision (65504)",
                    bad / width % layer.rows,
                    values.get(bad).copied().unwrap_or(f32::NAN)
                );
            }
            Ok(halves)
        };
        layers.push(LayerSpec {
            rows: layer.rows,
            columns: layer.columns,
            relu: layer.relu,
            residual: layer.residual,
            packed: false,
            weights: round(&layer.weights, layer.columns)?,
            biases: round(&layer.biases, 1)?,
            requant: Vec::new(),
        });
    }
    Ok(with_layers(spec, layers))
}
