//! The nats of a batch's steps, reduced to the reconstruction and the diffusion term.
#![allow(unsafe_code)] // Kernels run on plain addresses, for which this file answers.

use super::reading::reading;
use super::rows::{RowSpans, SHARE};
use crate::fused::device::launch::{check, grid, launch};
use crate::fused::device::params::{self, BLOCK_ROWS, CostGradient, TermTotals};
use crate::fused::device::queue::Queue;
use crate::fused::device::span::Span;
use crate::fused::read_out::ReadOut;
use candle_core::Result;

/// Operands of the cost.
#[derive(Clone, Copy)]
pub struct Cost<'a> {
    /// The rows, with the table of γ.
    pub rows: RowSpans<'a>,
    /// The network's output, `(n, D)`.
    pub output: Span<'a, f32>,
    /// From the output to an estimate.
    pub read_out: ReadOut,
    /// Fraction of the rows that fall on t = 0 on average.
    pub start_fraction: f64,
}

impl Cost<'_> {
    /// Returns the factors from a row's nats to the terms.
    fn factors(&self) -> [f64; 2] {
        let (n, start) = (self.rows.n() as f64, self.start_fraction);
        let reconstruction = if start > 0.0 { 1.0 / (start * n) } else { 0.0 };
        let steps = self.rows.gamma.len().saturating_sub(1);
        [reconstruction, steps as f64 / ((1.0 - start) * n)]
    }

    /// Computes reconstruction and diffusion in nats per row into the two numbers of `out`.
    pub fn forward<Q: Queue>(&self, queue: &Q, out: Span<'_, f32>) -> Result<()> {
        let n = self.rows.n();
        let (_terms, rows) = reading(queue, &self.rows, self.output, self.read_out)?;
        check(out.len() == 2, "terms")?;
        let nats = queue.reserve(n * 8)?;
        let params = params::Cost {
            rows,
            nats: queue.address(&nats),
            factors: self.factors(),
        };
        // SAFETY: all operands have n rows of D, the kernel keeps steps inside the table, and each row has its nats.
        unsafe { launch(queue, grid(n.div_ceil(BLOCK_ROWS), 1)?, &params)? };
        let params = TermTotals {
            values: params.nats,
            t: rows.t,
            out: out.address(),
            n: n as u64,
        };
        // SAFETY: n rows have a step and nats; `out` has two numbers.
        unsafe { launch(queue, [1, 1], &params) }
    }

    /// Computes the gradients by the output, into `by_output`, `(n, D)`, and by γ, into `by_table`, `(T + 1)`.
    ///
    /// * `upstream`: gradients of both terms.
    pub fn backward<Q: Queue>(
        &self,
        queue: &Q,
        upstream: Span<'_, f32>,
        by_output: Span<'_, f32>,
        by_table: Span<'_, f32>,
    ) -> Result<()> {
        let n = self.rows.n();
        let (_terms, rows) = reading(queue, &self.rows, self.output, self.read_out)?;
        let fits = by_output.len() == self.rows.x.len() && by_table.len() == self.rows.gamma.len();
        check(fits && upstream.len() == 2, "gradient")?;
        let shares = queue.reserve(n * SHARE)?;
        let params = CostGradient {
            rows,
            upstream: upstream.address(),
            by_output: by_output.address(),
            shares: queue.address(&shares),
            factors: self.factors(),
        };
        // SAFETY: as in `forward`; each row has a share.
        unsafe { launch(queue, grid(n.div_ceil(BLOCK_ROWS), 1)?, &params)? };
        self.rows.sum_by_table(queue, params.shares, by_table)
    }
}
