//! The state z_t.
#![allow(unsafe_code)] // Kernels run on plain addresses, for which this file answers.

use super::rows::{RowSpans, SHARE, form};
use crate::fused::device::launch::{blocks, check, grid, launch, narrow};
use crate::fused::device::params::{BLOCK_ROWS, State, StateGradient};
use crate::fused::device::queue::Queue;
use crate::fused::device::span::Span;
use crate::fused::read_out::ReadOut;
use ancestral::schedule::Prediction;
use candle_core::Result;

/// The state needs no read-out.
const NO_READ_OUT: ReadOut = ReadOut {
    prediction: Prediction::X,
    clip: false,
};

/// Computes `z_t = α_t x + σ_t ε` into `z`, `(n, D)`.
pub fn state<Q: Queue>(queue: &Q, rows: RowSpans<'_>, z: Span<'_, f32>) -> Result<()> {
    let terms = rows.terms(queue, form(NO_READ_OUT))?;
    check(z.len() == rows.x.len(), "state")?;
    let params = State {
        terms: queue.address(&terms),
        t: rows.t.address(),
        x: rows.x.address(),
        noise: rows.noise.address(),
        z: z.address(),
        n: rows.n() as u64,
        dim: narrow(rows.dim())?,
        count: narrow(rows.gamma.len())?,
    };
    // SAFETY: x, noise and z have n rows of D; the kernel keeps steps inside the table.
    unsafe { launch(queue, blocks(z.len())?, &params) }
}

/// Computes the gradient of γ from that of z, into `out`, `(T + 1)`.
pub fn state_gradient<Q: Queue>(
    queue: &Q,
    rows: RowSpans<'_>,
    gradient: Span<'_, f32>,
    out: Span<'_, f32>,
) -> Result<()> {
    let terms = rows.terms(queue, form(NO_READ_OUT))?;
    check(
        gradient.len() == rows.x.len() && out.len() == rows.gamma.len(),
        "gradient",
    )?;
    let shares = queue.reserve(rows.n() * SHARE)?;
    let params = StateGradient {
        terms: queue.address(&terms),
        t: rows.t.address(),
        x: rows.x.address(),
        noise: rows.noise.address(),
        gradient: gradient.address(),
        shares: queue.address(&shares),
        n: rows.n() as u64,
        dim: narrow(rows.dim())?,
        count: narrow(rows.gamma.len())?,
    };
    // SAFETY: as in `state`; each row has a share.
    unsafe { launch(queue, grid(rows.n().div_ceil(BLOCK_ROWS), 1)?, &params)? };
    rows.sum_by_table(queue, params.shares, out)
}
