//! Refusal of models that a format cannot run, with the layer and the row.

use super::formats::IntegerFormat;
use super::integers::IntegerNetwork;
use ancestral::F32;
use ancestral::kernel::{portable::unpack, row_len};
use ancestral::model::{LayerSpec, ModelSpec};
use anyhow::{Result, ensure};

/// Refuses numbers that are not finite, and rows of zeros.
pub fn check_float(spec: &ModelSpec<F32>) -> Result<()> {
    for (index, layer) in spec.layers.iter().enumerate() {
        if let Some(bad) = layer.weights.iter().position(|w| !w.is_finite()) {
            let (row, column) = (bad / layer.columns, bad % layer.columns);
            anyhow::bail!(
                "layer {index}, row {row}, column {column}: a weight is not finite; the training has diverged, lower the learning \
                 rate"
            );
        }
        if let Some(bad) = layer.biases.iter().position(|b| !b.is_finite()) {
            let row = bad % layer.rows;
            anyhow::bail!(
                "layer {index}, row {row}: a bias is not finite; the training has diverged, lower the learning rate"
            );
        }
        for (row, weights) in layer.weights.chunks_exact(layer.columns).enumerate() {
            ensure!(
                weights.iter().any(|&w| w != 0.0),
                "layer {index}, row {row}: every weight is 0, so its output does not depend on its input; train longer, or leave the \
                 row out"
            );
        }
    }
    Ok(())
}

/// Proves for every row of every layer that its sum cannot overflow.
pub fn check_integers<F: IntegerFormat>(network: &IntegerNetwork<F>) -> Result<()> {
    for (index, layer) in network.layers.iter().enumerate() {
        let largest = if index == 0 {
            1 << 15
        } else {
            // The factor is an activation as stored, or with its offset: both must fit.
            (F::HIDDEN_MAX as i64 + 1).max(1 << 7)
        };
        check_sums(layer, index, largest)?;
    }
    Ok(())
}

/// Proves for every row of a layer that `Σ|w|·largest < 2³¹`.
///
/// Then no sum of its products, in any order and for any input of magnitude up to `largest`, exceeds 32 bits.
pub fn check_sums<F: IntegerFormat>(layer: &LayerSpec<F>, index: usize, largest: i64) -> Result<()> {
    let stride = row_len(layer.columns, layer.packed);
    for (row, weights) in layer.weights.chunks_exact(stride.max(1)).enumerate() {
        let magnitude = |&w: &i8| {
            if layer.packed {
                unpack(w).iter().map(|w| i64::from(w.abs())).sum()
            } else {
                i64::from(w).abs()
            }
        };
        let bound = weights.iter().map(magnitude).sum::<i64>() * largest;
        ensure!(
            bound < 1 << 31,
            "layer {index}, row {row}: its sum can reach {bound}, beyond 32 bits: with {} inputs the layer is too wide for the \
             format {}",
            layer.columns,
            F::ID
        );
    }
    Ok(())
}
