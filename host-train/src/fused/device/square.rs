//! The mean squared error, as in `fused::square`.
#![allow(unsafe_code)] // Kernels run on plain addresses, for which this file answers.

use super::launch::{blocks, check, launch};
use super::params::{MAX_PARTS, Square, SquareGradient, Total};
use super::queue::Queue;
use super::span::Span;
use candle_core::Result;

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
