//! Step constants as tensors.

use super::batch::StateBatch;
use crate::export::quantize::integers::STATE_UNIT;
use crate::export::quantize::teacher::Costs;
use ancestral::F32;
use anyhow::Result;
use candle_core::{Device, Tensor};

/// The constants of every step as tensors.
pub(super) struct StepTensors {
    /// Factor of the state, `(T, 1)`.
    skip: Tensor,
    /// Factor of the network's output, `(T, 1)`.
    out: Tensor,
    /// Cost of one unit of a squared component of the error, `(T, D)`.
    weight: Tensor,
    /// Matrix whose columns are the directions of the components, `(D, D)`.
    basis: Option<Tensor>,
    clip: bool,
    steps: usize,
}

impl StepTensors {
    pub(super) fn new(model: &ancestral::Model<'_, F32>, device: &Device) -> Result<Self> {
        let table = model.step_table();
        let column = |values: Vec<f64>| Tensor::from_vec(values, (table.steps(), 1), device);
        let constants: Vec<_> = (1..=table.steps()).filter_map(|t| table.constants_at(t)).collect();
        let (costs, dim) = (Costs::new(model), model.dim());
        Ok(Self {
            skip: column(constants.iter().map(|c| f64::from(c.skip)).collect())?,
            out: column(constants.iter().map(|c| f64::from(c.out)).collect())?,
            weight: Tensor::from_vec(costs.weights, (table.steps(), dim), device)?,
            basis: match costs.basis.is_empty() {
                true => None,
                false => Some(Tensor::from_vec(costs.basis, (dim, dim), device)?),
            },
            clip: table.clip,
            steps: table.steps(),
        })
    }

    /// Computes x̂ from the network's output f, `(n, D)`.
    pub(super) fn estimate(&self, batch: &StateBatch, f: &Tensor) -> Result<Tensor> {
        let of_rows = |t: &Tensor| t.index_select(&batch.row, 0);
        let z = (&batch.z * STATE_UNIT)?.broadcast_mul(&of_rows(&self.skip)?)?;
        let x = (z + f.broadcast_mul(&of_rows(&self.out)?)?)?;
        Ok(if self.clip { x.clamp(-1.0, 1.0)? } else { x })
    }

    /// Computes the loss in nats per row.
    pub(super) fn loss(&self, batch: &StateBatch, estimate: &Tensor, target: &Tensor) -> Result<Tensor> {
        let mut error = (estimate - target)?;
        if let Some(basis) = &self.basis {
            error = error.matmul(basis)?;
        }
        let weighted = (error.sqr()? * self.weight.index_select(&batch.row, 0)?)?;
        Ok((weighted.sum(1)?.mean(0)? * self.steps as f64)?)
    }
}
