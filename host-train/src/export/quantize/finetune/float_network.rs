//! The teacher.

use super::batch::StateBatch;
use crate::export::quantize::integers::STATE_UNIT;
use ancestral::F32;
use ancestral::model::{LayerSpec, ModelSpec};
use anyhow::Result;
use candle_core::{DType, Device, Tensor};

/// The float network in candle's `f32`, which is fast on batches.
pub(super) struct FloatNetwork {
    layers: Vec<(Tensor, Tensor, bool)>,
}

impl FloatNetwork {
    pub(super) fn new(spec: &ModelSpec<F32>, device: &Device) -> Result<Self> {
        let layer = |layer: &LayerSpec<F32>| -> Result<_> {
            let weights = Tensor::from_slice(&layer.weights, (layer.rows, layer.columns), device)?.t()?;
            let entries = layer.biases.len() / layer.rows;
            let biases = Tensor::from_slice(&layer.biases, (entries, layer.rows), device)?;
            Ok((weights, biases, layer.residual))
        };
        Ok(Self {
            layers: spec.layers.iter().map(layer).collect::<Result<_>>()?,
        })
    }

    pub(super) fn forward(&self, batch: &StateBatch) -> Result<Tensor> {
        let mut h = (&batch.z * STATE_UNIT)?.to_dtype(DType::F32)?;
        for (index, (weights, biases, residual)) in self.layers.iter().enumerate() {
            let sum = add_biases(&h.matmul(weights)?, biases, batch)?;
            h = match residual {
                _ if index + 1 == self.layers.len() => sum,
                true => (h + sum.relu()?)?,
                false => sum.relu()?,
            };
        }
        Ok(h.to_dtype(DType::F64)?)
    }
}

/// Returns the sum and the biases of each state's call; there may be one row of biases for all calls.
fn add_biases(sum: &Tensor, biases: &Tensor, batch: &StateBatch) -> candle_core::Result<Tensor> {
    if biases.dim(0)? == 1 {
        sum.broadcast_add(biases)
    } else {
        sum + biases.index_select(&batch.row, 0)?
    }
}
