//! Operands of all operations.

use crate::fused::index::Index;
use crate::fused::read_out::Row;
use crate::fused::storage::Open;
use candle_core::{Result, Tensor};
use std::sync::Arc;

/// Operands of all operations: the data, the noise, and each row's step.
#[derive(Clone)]
pub struct Rows {
    pub(super) x: Tensor,
    pub(super) noise: Tensor,
    /// Steps on the host; empty if the data is on a GPU.
    pub(super) t: Arc<Vec<u32>>,
    /// Steps on the GPU that the data is on.
    #[cfg(feature = "cuda")]
    pub(super) on_gpu: Option<Tensor>,
    pub(super) dim: usize,
}

impl Rows {
    /// * `x`, `noise`: `(n, D)`, `f32`;
    /// * `t`: n steps, `0..=T`; 0 stands for the network decoder.
    pub fn new(x: &Tensor, noise: &Tensor, t: Index) -> Result<Self> {
        let (n, dim) = x.dims2()?;
        if noise.dims() != [n, dim] || t.len() != n {
            candle_core::bail!("fused ELBO: the noise and the steps must be those of the {n} rows of data")
        }
        let on_host = !x.device().is_cuda();
        Ok(Self {
            x: x.contiguous()?,
            noise: noise.contiguous()?,
            #[cfg(feature = "cuda")]
            on_gpu: if on_host { None } else { Some(t.tensor(x.device())?) },
            t: Arc::new(if on_host { t.host()?.into_owned() } else { Vec::new() }),
            dim: dim.max(1),
        })
    }

    /// Checks that the steps are in a table of γ.
    pub(super) fn check_table(&self, table: &Tensor) -> Result<()> {
        let steps = table.dims1()?;
        if self.t.iter().any(|&t| t as usize >= steps) {
            candle_core::bail!("fused ELBO: a row's step is beyond the table of gamma")
        }
        Ok(())
    }

    /// Checks that the network's output has the data's shape.
    pub(super) fn check_output(&self, output: &Tensor) -> Result<()> {
        if output.dims() != self.x.dims() {
            candle_core::bail!("fused ELBO: the network's output must have the data's shape")
        }
        Ok(())
    }

    /// Checks that there is a γ for each row, `(n, 1)`.
    pub(super) fn check_column(&self, gamma: &Tensor) -> Result<()> {
        if gamma.dims() != [self.x.dim(0)?, 1] {
            candle_core::bail!("fused ELBO: each row needs one gamma")
        }
        Ok(())
    }
}

impl Rows {
    /// Holds the data and the noise open.
    pub(super) fn open(&self) -> Open<'_> {
        Open::new([&self.x, &self.noise])
    }
}

/// Slices of the data, the noise and the network's output, row by row.
#[derive(Clone, Copy)]
pub(super) struct RowSlices<'a> {
    pub x: &'a [f32],
    pub noise: &'a [f32],
    pub output: &'a [f32],
    pub dim: usize,
}

impl<'a> RowSlices<'a> {
    /// Reads the data and the noise of rows held open, beside the network's output.
    ///
    /// * `open`: both tensors, see [`Rows::open`];
    /// * `op`: name of the operation, for errors.
    pub(super) fn new(dim: usize, open: &'a Open<'_>, output: &'a [f32], op: &str) -> Result<Self> {
        let slices = open.slices(op)?;
        Ok(Self {
            x: slices[0],
            noise: slices[1],
            output,
            dim,
        })
    }

    pub(super) fn row(&self, row: usize) -> Row<'a> {
        let here = row * self.dim..(row + 1) * self.dim;
        Row {
            x: &self.x[here.clone()],
            noise: &self.noise[here.clone()],
            output: &self.output[here],
        }
    }
}

/// A value of the last step, computed only when the step changes: a batch is ordered by its times.
pub(super) struct LastStep<T>(Option<(u32, T)>);

impl<T: Copy> LastStep<T> {
    pub(super) fn new() -> Self {
        Self(None)
    }

    pub(super) fn get_or_compute(&mut self, t: u32, compute: impl FnOnce() -> T) -> T {
        match self.0 {
            Some((step, value)) if step == t => value,
            _ => self.0.insert((t, compute())).1,
        }
    }
}

/// Returns `values` in f32, as a tensor like another.
pub(super) fn narrow(values: &[f64], like: &Tensor) -> Result<Tensor> {
    let values: Vec<f32> = values.iter().map(|v| *v as f32).collect();
    Tensor::from_vec(values, like.shape(), like.device())
}
