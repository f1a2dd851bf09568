//! The loss of fine-tuning.

use super::batch::StateBatch;
use crate::export::quantize::costs::Costs;
use crate::export::quantize::integers::STATE_UNIT;
use crate::fused::elbo::Rows;
use crate::model::read_out::ReadOut;
use ancestral::F32;
use ancestral::model::ModelHead;
use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use candle_nn::ops::sigmoid;

/// Everything that turns outputs of the network into the loss, as tensors with a row for each call of the network.
pub(super) struct StepTensors {
    read_out: ReadOut,
    /// `(calls, 1)`.
    gamma: Tensor,
    /// Gain of the output, `(calls, 1)`.
    gains: Tensor,
    /// Cost of one unit of a squared component of the error, `(calls, D)`.
    weight: Tensor,
    /// Matrix whose columns are the directions of the components, `(D, D)`.
    basis: Option<Tensor>,
    /// The decoder is the network, and the data has levels.
    decodes_levels: bool,
    calls: usize,
}

impl StepTensors {
    /// * `head`: of the model's specification.
    pub(super) fn new(model: &ancestral::Model<'_, F32>, head: &ModelHead, device: &Device) -> Result<Self> {
        let (header, table, calls) = (model.header(), model.step_table(), model.calls());
        let (costs, dim) = (Costs::new(model), model.dim());
        let first = table.gamma.len() - calls;
        let gamma: Vec<f64> = table.gamma.iter().skip(first).map(|&g| f64::from(g)).collect();
        let gains = (first..table.gamma.len()).map(|t| head.gains.get(t).copied().unwrap_or(1.0));
        Ok(Self {
            read_out: ReadOut {
                prediction: header.prediction,
                clip: header.clip,
            },
            gamma: Tensor::from_vec(gamma, (calls, 1), device)?,
            gains: Tensor::from_vec(gains.collect(), (calls, 1), device)?,
            weight: Tensor::from_vec(costs.weights, (calls, dim), device)?,
            basis: match costs.basis.is_empty() {
                true => None,
                false => Some(Tensor::from_vec(costs.basis, (dim, dim), device)?),
            },
            decodes_levels: costs.level_decoder.is_some(),
            calls,
        })
    }

    /// Computes the loss in nats per row: the cost of the student's output `f` where the teacher gives `target`,
    /// `(n, D)` each.
    ///
    /// It is that of [`Costs`], by the read-out as a formula and not by its table.
    pub(super) fn loss(&self, batch: &StateBatch, f: &Tensor, target: &Tensor) -> Result<Tensor> {
        let gamma = self.gamma.index_select(&batch.row, 0)?;
        let gains = self.gains.index_select(&batch.row, 0)?;
        let (f, target) = (&f.broadcast_mul(&gains)?, &target.broadcast_mul(&gains)?);
        let z = (&batch.z * STATE_UNIT)?;
        let target_estimate = self.distance(&z, &z.zeros_like()?, target, &gamma)?.detach();
        let mut error = self.distance(&z, &target_estimate, f, &gamma)?;
        if let Some(basis) = &self.basis {
            error = error.matmul(basis)?;
        }
        let weighted = (error.sqr()? * self.weight.index_select(&batch.row, 0)?)?;
        let mut sum = weighted.sum_all()?;
        if self.decodes_levels && !batch.decoded.is_empty() {
            let chosen = Tensor::from_slice(&batch.decoded, batch.decoded.len(), z.device())?;
            let of_decoder = |t: &Tensor| t.index_select(&chosen, 0);
            // Few rows, so candle's own operations will do.
            let (z, gamma, x) = (of_decoder(&z)?, of_decoder(&gamma)?, of_decoder(&target_estimate)?);
            // ln Σ w − ln w_x is linear in x up to a term that both share. So its difference at the teacher's mean is
            // the divergence.
            let nats = |f: &Tensor| self.read_out.level_nats(&x, &z, f, &gamma);
            let divergence = (nats(&of_decoder(f)?)? - nats(&of_decoder(target)?)?.detach())?;
            sum = (sum + divergence.sum_all()?)?;
        }
        Ok((sum * (self.calls as f64 / batch.calls.len() as f64))?)
    }

    /// Returns x̂ less `x`, `(n, D)`, by the fused read-out. K levels as an axis of a tensor would take most of the
    /// time.
    ///
    /// * `z`, `f`: the state and the network's output, `(n, D)` each;
    /// * `gamma`: `(n, 1)`.
    fn distance(&self, z: &Tensor, x: &Tensor, f: &Tensor, gamma: &Tensor) -> Result<Tensor> {
        // The fused operation takes data and noise in place of z.
        let (signal, variance) = (sigmoid(&gamma.neg()?)?, sigmoid(gamma)?);
        let noise = (z - x.broadcast_mul(&signal.sqrt()?)?)?.broadcast_div(&variance.sqrt()?)?;
        let narrow = |t: &Tensor| t.to_dtype(DType::F32);
        let rows = Rows::new(&narrow(x)?, &narrow(&noise)?, vec![0; z.dim(0)?].into())?;
        let error = rows.error(&narrow(f)?, &narrow(gamma)?, self.read_out)?;
        // In the unit of the noise, 1/√SNR.
        Ok(error.to_dtype(DType::F64)?.broadcast_mul(&(gamma * 0.5)?.exp()?)?)
    }
}
