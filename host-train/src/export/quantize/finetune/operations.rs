//! Operations of the integer network with their gradients.

use crate::export::quantize::formats::IntegerFormat;
use ancestral::format::RowFinish;
use ancestral::model::LayerSpec;
use candle_core::{CpuStorage, CustomOp1, CustomOp3, DType, Layout, Shape, Tensor};

/// Rounds and clips; the gradient passes where nothing was clipped.
pub(super) struct RoundStraightThrough {
    /// Smallest result.
    pub low: f64,
    /// Largest result.
    pub high: f64,
}

impl CustomOp1 for RoundStraightThrough {
    fn name(&self) -> &'static str {
        "round-straight-through"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let values = slice(storage, layout)?;
        let out = values.iter().map(|v| v.round().clamp(self.low, self.high)).collect();
        Ok((CpuStorage::F64(out), layout.shape().clone()))
    }

    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let inside = (arg.ge(self.low - 0.5)? * arg.le(self.high + 0.5)?)?;
        Ok(Some((grad * inside.to_dtype(DType::F64)?)?))
    }
}

/// Computes outputs from sums by the core's own code.
///
/// Arguments: sums `(n, rows)`, biases in units of the output `(n, rows)`, and units of the output in one unit of the
/// sum `(1, rows)`. The last two are arguments for their gradients alone; their integers are in `spec`.
pub(super) struct Requantize<F: IntegerFormat> {
    /// The layer in integers.
    pub spec: LayerSpec<F>,
    /// Call of the network that each state belongs to.
    pub calls: Vec<usize>,
    /// Exponent of the factors' power of two for each state.
    pub exponents: Vec<i32>,
    /// That power of two, `(n, 1)`, unless it is always 1.
    pub scale: Option<Tensor>,
    /// True for the last layer.
    pub last: bool,
    /// Largest output.
    pub most: f64,
}

impl<F: IntegerFormat> CustomOp3 for Requantize<F> {
    fn name(&self) -> &'static str {
        "requantize"
    }

    fn cpu_fwd(
        &self,
        sums: &CpuStorage,
        layout: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let sums = slice(sums, layout)?;
        let rows = self.spec.rows;
        let mut out = Vec::with_capacity(sums.len());
        for ((sums, &call), &exponent) in sums.chunks_exact(rows).zip(&self.calls).zip(&self.exponents) {
            let first = if self.spec.biases.len() == rows { 0 } else { call * rows };
            let biases = self.spec.biases.iter().skip(first);
            for ((&sum, &bias), &requant) in sums.iter().zip(biases).zip(&self.spec.requant) {
                // The core adds the offset to a sum of stored activations; this sum is of the activations themselves.
                let sum = (sum as i32).wrapping_sub(F::offset(requant));
                let requant = F::scaled(requant, exponent);
                let row = RowFinish { bias, requant };
                out.push(f64::from(if self.last {
                    i32::from(F::output(row, sum))
                } else {
                    F::value(F::activate(row, sum, self.spec.relu, None))
                }));
            }
        }
        Ok((CpuStorage::F64(out), layout.shape().clone()))
    }

    fn bwd(
        &self,
        sums: &Tensor,
        biases: &Tensor,
        factor: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let sums = match &self.scale {
            Some(scale) => &sums.broadcast_mul(scale)?,
            None => sums,
        };
        let value = (sums.broadcast_mul(factor)? + biases)?;
        let least = if self.spec.relu { 0.0 } else { -self.most - 1.0 };
        let inside = (value.ge(least)? * value.le(self.most)?)?.to_dtype(DType::F64)?;
        let grad = (grad * inside)?;
        let of_factor = (&grad * sums)?.sum_keepdim(0)?;
        let of_sums = grad.broadcast_mul(factor)?;
        let of_sums = match &self.scale {
            Some(scale) => of_sums.broadcast_mul(scale)?,
            None => of_sums,
        };
        Ok((Some(of_sums), Some(grad), Some(of_factor)))
    }
}

fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [f64]> {
    let (CpuStorage::F64(values), Some((start, end))) = (storage, layout.contiguous_offsets()) else {
        candle_core::bail!("fine-tuning: every operand must be contiguous and f64")
    };
    values
        .get(start..end)
        .ok_or_else(|| candle_core::Error::Msg("a tensor is shorter than its layout".into()))
}
