//! The error of each row's estimate at a γ of its own, in the unit 1/√SNR.
#![allow(unsafe_code)] // Kernels run on plain addresses, for which this file answers.

use super::reading::reading;
use super::rows::RowSpans;
use crate::fused::device::launch::{blocks, check, grid, launch};
use crate::fused::device::params::{self, BLOCK_ROWS, RowErrorGradient};
use crate::fused::device::queue::Queue;
use crate::fused::device::span::Span;
use crate::fused::read_out::ReadOut;
use candle_core::Result;

/// Operands of the error.
#[derive(Clone, Copy)]
pub struct RowError<'a> {
    /// The rows, with the γ of each.
    pub rows: RowSpans<'a>,
    /// The network's output, `(n, D)`.
    pub output: Span<'a, f32>,
    /// From the output to an estimate.
    pub read_out: ReadOut,
}

impl RowError<'_> {
    /// Computes √SNR·(x̂ − x) into `out`, `(n, D)`.
    pub fn forward<Q: Queue>(&self, queue: &Q, out: Span<'_, f32>) -> Result<()> {
        self.rows.check_by_row()?;
        let (_terms, rows) = reading(queue, &self.rows, self.output, self.read_out)?;
        check(out.len() == self.rows.x.len(), "error")?;
        let params = params::RowError {
            rows,
            error: out.address(),
        };
        // SAFETY: all operands have n rows of D, and each row has constants.
        unsafe { launch(queue, blocks(out.len())?, &params) }
    }

    /// Computes the gradients by the output, into `by_output`, `(n, D)`, and by γ, into `by_gamma`, `(n)`.
    ///
    /// * `upstream`: gradient of the error, `(n, D)`.
    pub fn backward<Q: Queue>(
        &self,
        queue: &Q,
        upstream: Span<'_, f32>,
        by_output: Span<'_, f32>,
        by_gamma: Span<'_, f32>,
    ) -> Result<()> {
        self.rows.check_by_row()?;
        let (_terms, rows) = reading(queue, &self.rows, self.output, self.read_out)?;
        let (n, size) = (self.rows.n(), self.rows.x.len());
        let fits = upstream.len() == size && by_output.len() == size && by_gamma.len() == n;
        check(fits, "gradient")?;
        let params = RowErrorGradient {
            rows,
            upstream: upstream.address(),
            by_output: by_output.address(),
            by_gamma: by_gamma.address(),
        };
        // SAFETY: as in `forward`; each row has a gradient by its γ.
        unsafe { launch(queue, grid(n.div_ceil(BLOCK_ROWS), 1)?, &params) }
    }
}
