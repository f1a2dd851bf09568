//! The nats of levels that the network decodes, at a γ for each row.
#![allow(unsafe_code)] // Kernels run on plain addresses, for which this file answers.

use super::reading::reading;
use super::rows::RowSpans;
use crate::fused::device::launch::{check, grid, launch};
use crate::fused::device::params::{self, BLOCK_ROWS, LevelNatsGradient};
use crate::fused::device::queue::Queue;
use crate::fused::device::span::Span;
use crate::fused::read_out::ReadOut;
use candle_core::Result;

/// Operands of the nats.
#[derive(Clone, Copy)]
pub struct LevelNats<'a> {
    /// The rows, with the γ of each.
    pub rows: RowSpans<'a>,
    /// The network's output, `(n, D)`.
    pub output: Span<'a, f32>,
    /// From the output to the distribution of a level.
    pub read_out: ReadOut,
}

impl LevelNats<'_> {
    /// Computes the nats of the rows at t = 0 into `out`, `(n)`; the other rows have 0.
    pub fn forward<Q: Queue>(&self, queue: &Q, out: Span<'_, f32>) -> Result<()> {
        self.rows.check_by_row()?;
        let (_terms, rows) = reading(queue, &self.rows, self.output, self.read_out)?;
        let n = self.rows.n();
        check(out.len() == n, "nats")?;
        let params = params::LevelNats {
            rows,
            nats: out.address(),
        };
        // SAFETY: all operands have n rows of D, and each row has constants.
        unsafe { launch(queue, grid(n.div_ceil(BLOCK_ROWS), 1)?, &params) }
    }

    /// Computes the gradients by the output, into `by_output`, `(n, D)`, and by γ, into `by_gamma`, `(n)`.
    ///
    /// * `upstream`: gradient of the nats, `(n)`.
    pub fn backward<Q: Queue>(
        &self,
        queue: &Q,
        upstream: Span<'_, f32>,
        by_output: Span<'_, f32>,
        by_gamma: Span<'_, f32>,
    ) -> Result<()> {
        self.rows.check_by_row()?;
        let (_terms, rows) = reading(queue, &self.rows, self.output, self.read_out)?;
        let n = self.rows.n();
        let fits = upstream.len() == n && by_output.len() == self.rows.x.len() && by_gamma.len() == n;
        check(fits, "gradient")?;
        let params = LevelNatsGradient {
            rows,
            upstream: upstream.address(),
            by_output: by_output.address(),
            by_gamma: by_gamma.address(),
        };
        // SAFETY: as in `forward`; each row has a gradient by its γ.
        unsafe { launch(queue, grid(n.div_ceil(BLOCK_ROWS), 1)?, &params) }
    }
}
