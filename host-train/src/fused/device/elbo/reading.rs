//! Rows and the network's output for them, as kernels take them.

use super::rows::{RowSpans, form};
use crate::fused::device::launch::{check, narrow};
use crate::fused::device::params::Reading;
use crate::fused::device::queue::Queue;
use crate::fused::device::span::Span;
use crate::fused::read_out::ReadOut;
use candle_core::Result;

/// Computes the constants of each γ; returns the memory that holds them, and the operands.
pub(super) fn reading<Q: Queue>(
    queue: &Q,
    rows: &RowSpans<'_>,
    output: Span<'_, f32>,
    read_out: ReadOut,
) -> Result<(Q::Memory, Reading)> {
    let form = form(read_out);
    let terms = rows.terms(queue, form)?;
    check(output.len() == rows.x.len(), "output")?;
    let reading = Reading {
        terms: queue.address(&terms),
        t: rows.t.address(),
        x: rows.x.address(),
        noise: rows.noise.address(),
        output: output.address(),
        n: rows.n() as u64,
        dim: narrow(rows.dim())?,
        count: narrow(rows.gamma.len())?,
        form,
    };
    Ok((terms, reading))
}
