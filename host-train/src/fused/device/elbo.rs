//! The noised state, the cost of the diffusion term, and the squared error, as in `fused::elbo` and `fused::square`.
#![allow(unsafe_code)] // Kernels run on plain addresses, for which this file answers.

use super::launch::{blocks, check, grid, launch, narrow};
use super::params::{
    BLOCK_ROWS, Cost, CostGradient, MAX_PARTS, Square, SquareGradient, State, StateGradient, TableGradient, TermsOf,
    Total,
};
use super::queue::Queue;
use super::span::Span;
use ancestral::schedule::Prediction;
use candle_core::Result;

/// `sizeof(Terms)` in `cuda/elbo.cu`.
const TERMS: usize = 11 * 8;
/// `sizeof(Share)` there.
const SHARE: usize = 2 * 8;

/// Operands that all operations have in common.
#[derive(Clone, Copy)]
pub struct RowSpans<'a> {
    /// Data, `(n, D)`.
    pub x: Span<'a, f32>,
    /// Noise, `(n, D)`.
    pub noise: Span<'a, f32>,
    /// Step of each row, `1..=T`, in ascending order.
    pub t: Span<'a, u32>,
    /// Table of γ, γ_0 ..= γ_T.
    pub table: Span<'a, f32>,
}

impl RowSpans<'_> {
    fn n(&self) -> usize {
        self.t.len()
    }

    fn dim(&self) -> usize {
        self.x.len() / self.n().max(1)
    }

    fn steps(&self) -> usize {
        self.table.len().saturating_sub(1)
    }

    fn check(&self) -> Result<()> {
        let fits = self.n() > 0 && self.x.len() == self.n() * self.dim() && self.noise.len() == self.x.len();
        check(fits && self.steps() > 0, "rows")
    }

    /// Reserves and fills the table of each step's constants.
    fn terms<Q: Queue>(&self, queue: &Q, prediction: Prediction) -> Result<Q::Memory> {
        self.check()?;
        let memory = queue.reserve(self.steps() * TERMS)?;
        let params = TermsOf {
            gamma: self.table.address(),
            terms: queue.address(&memory),
            steps: narrow(self.steps())?,
            prediction: match prediction {
                Prediction::V => 0,
                Prediction::X | Prediction::Odds { .. } => 1,
            },
        };
        // SAFETY: the table has one γ more than there are steps, and room for each step was reserved.
        unsafe { launch(queue, blocks(self.steps())?, &params)? };
        Ok(memory)
    }

    /// T/n.
    fn share(&self) -> f64 {
        self.steps() as f64 / self.n() as f64
    }

    /// Computes `z_t = α_t x + σ_t ε` into `z`, `(n, D)`.
    pub fn state<Q: Queue>(&self, queue: &Q, z: Span<'_, f32>) -> Result<()> {
        let terms = self.terms(queue, Prediction::V)?;
        check(z.len() == self.x.len(), "state")?;
        let params = State {
            terms: queue.address(&terms),
            t: self.t.address(),
            x: self.x.address(),
            noise: self.noise.address(),
            z: z.address(),
            n: self.n() as u64,
            dim: narrow(self.dim())?,
            steps: narrow(self.steps())?,
        };
        // SAFETY: x, noise and z have n rows of D; the kernel keeps steps inside the table.
        unsafe { launch(queue, blocks(z.len())?, &params) }
    }

    /// Computes the gradient of γ from that of z, into `out`, `(T + 1)`.
    pub fn state_gradient<Q: Queue>(&self, queue: &Q, gradient: Span<'_, f32>, out: Span<'_, f32>) -> Result<()> {
        let terms = self.terms(queue, Prediction::V)?;
        check(
            gradient.len() == self.x.len() && out.len() == self.table.len(),
            "gradient",
        )?;
        let shares = queue.reserve(self.n() * SHARE)?;
        let params = StateGradient {
            terms: queue.address(&terms),
            t: self.t.address(),
            x: self.x.address(),
            noise: self.noise.address(),
            gradient: gradient.address(),
            shares: queue.address(&shares),
            n: self.n() as u64,
            dim: narrow(self.dim())?,
            steps: narrow(self.steps())?,
        };
        // SAFETY: as in `state`; each row has a share.
        unsafe { launch(queue, grid(self.n().div_ceil(BLOCK_ROWS), 1)?, &params)? };
        self.sum_by_table(queue, params.shares, None, 1.0, out)
    }

    /// Sums the rows' shares into the gradient of the table.
    fn sum_by_table<Q: Queue>(
        &self,
        queue: &Q,
        shares: u64,
        upstream: Option<Span<'_, f32>>,
        factor: f64,
        out: Span<'_, f32>,
    ) -> Result<()> {
        let params = TableGradient {
            shares,
            t: self.t.address(),
            upstream: upstream.map_or(0, |u| u.address()),
            factor,
            out: out.address(),
            n: self.n() as u64,
        };
        // SAFETY: one share per row; a block per entry of the table, all of which `out` has.
        unsafe { launch(queue, grid(out.len(), 1)?, &params) }
    }

    /// Computes T times the mean cost of the drawn steps in nats per row, into the one number of `out`.
    ///
    /// * `output`: the network's, `(n, D)`.
    pub fn cost<Q: Queue>(
        &self,
        queue: &Q,
        output: Span<'_, f32>,
        prediction: Prediction,
        out: Span<'_, f32>,
    ) -> Result<()> {
        let terms = self.terms(queue, prediction)?;
        check(output.len() == self.x.len() && out.len() == 1, "output")?;
        let nats = queue.reserve(self.n() * 8)?;
        let params = Cost {
            terms: queue.address(&terms),
            t: self.t.address(),
            x: self.x.address(),
            noise: self.noise.address(),
            output: output.address(),
            nats: queue.address(&nats),
            n: self.n() as u64,
            dim: narrow(self.dim())?,
            steps: narrow(self.steps())?,
        };
        // SAFETY: as in `state`; a number of nats per row.
        unsafe { launch(queue, grid(self.n().div_ceil(BLOCK_ROWS), 1)?, &params)? };
        total(queue, params.nats, self.n(), self.share(), out)
    }

    /// Computes the gradients of the cost by the output, into `by_output`, `(n, D)`, and by γ, into `by_table`, `(T +
    /// 1)`.
    ///
    /// * `upstream`: one number, by which both are multiplied.
    pub fn cost_gradient<Q: Queue>(
        &self,
        queue: &Q,
        output: Span<'_, f32>,
        prediction: Prediction,
        upstream: Span<'_, f32>,
        by_output: Span<'_, f32>,
        by_table: Span<'_, f32>,
    ) -> Result<()> {
        let terms = self.terms(queue, prediction)?;
        let fits = output.len() == self.x.len()
            && by_output.len() == self.x.len()
            && by_table.len() == self.table.len()
            && upstream.len() == 1;
        check(fits, "gradient")?;
        let shares = queue.reserve(self.n() * SHARE)?;
        let params = CostGradient {
            terms: queue.address(&terms),
            t: self.t.address(),
            x: self.x.address(),
            noise: self.noise.address(),
            output: output.address(),
            upstream: upstream.address(),
            factor: self.share(),
            by_output: by_output.address(),
            shares: queue.address(&shares),
            n: self.n() as u64,
            dim: narrow(self.dim())?,
            steps: narrow(self.steps())?,
        };
        // SAFETY: as in `state`; each row has a share.
        unsafe { launch(queue, grid(self.n().div_ceil(BLOCK_ROWS), 1)?, &params)? };
        self.sum_by_table(queue, params.shares, Some(upstream), self.share(), by_table)
    }
}

/// Computes `factor · Σ values` into `out`.
fn total<Q: Queue>(queue: &Q, values: u64, count: usize, factor: f64, out: Span<'_, f32>) -> Result<()> {
    let params = Total {
        values,
        out: out.address(),
        count: count as u64,
        factor,
    };
    // SAFETY: private to this file, whose callers have `count` values; `out` has one number.
    unsafe { launch(queue, [1, 1], &params) }
}

/// Computes `mean (output − target)²` into the one number of `out`.
pub fn mean_square<Q: Queue>(
    queue: &Q,
    output: Span<'_, f32>,
    target: Span<'_, f32>,
    out: Span<'_, f32>,
) -> Result<()> {
    let n = output.len();
    check(n > 0 && target.len() == n && out.len() == 1, "target")?;
    let launched = blocks(n)?[0].min(MAX_PARTS as u32);
    let parts = queue.reserve(launched as usize * 8)?;
    let params = Square {
        output: output.address(),
        target: target.address(),
        parts: queue.address(&parts),
        count: n as u64,
    };
    // SAFETY: both have n elements, and each block has a part.
    unsafe { launch(queue, [launched, 1], &params)? };
    total(queue, params.parts, launched as usize, 1.0 / n as f64, out)
}

/// Computes the gradient of [`mean_square`] by the output into `out`, times the one number of `upstream`.
pub fn mean_square_gradient<Q: Queue>(
    queue: &Q,
    output: Span<'_, f32>,
    target: Span<'_, f32>,
    upstream: Span<'_, f32>,
    out: Span<'_, f32>,
) -> Result<()> {
    let n = output.len();
    check(target.len() == n && out.len() == n && upstream.len() == 1, "target")?;
    let params = SquareGradient {
        output: output.address(),
        target: target.address(),
        upstream: upstream.address(),
        out: out.address(),
        count: n as u64,
    };
    // SAFETY: all three have n elements.
    unsafe { launch(queue, blocks(n)?, &params) }
}
