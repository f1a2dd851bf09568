//! Speed of products of large matrices: the yardstick for the speed of a step.

use crate::fused::device::Products;
use crate::fused::pieces;
use crate::fused::product::{Matrix, multiply};
use anyhow::Result;
use candle_core::Device;
use std::time::Instant;

/// Side of the matrices on the CPU: large enough that only the products count.
const SIDE: usize = 1024;
/// Number of products, of which the fastest counts.
const ROUNDS: usize = 5;

/// Measures floating-point operations per second.
#[cfg_attr(
    not(feature = "cuda"),
    expect(unused_variables, reason = "only a GPU is another device")
)]
pub fn measure(device: &Device, products: Products) -> Result<f64> {
    #[cfg(feature = "cuda")]
    if device.is_cuda() {
        return super::gpu::measure_rate(device, products, ROUNDS);
    }
    let value = |i: usize| (i % 31) as f32 / 31.0 - 0.5;
    let a: Vec<f32> = (0..SIDE * SIDE).map(value).collect();
    let b: Vec<f32> = (0..SIDE * SIDE).map(|i| value(i + 7)).collect();
    let mut out = vec![0.0; SIDE * SIDE];
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        // In the pieces of the layers' products.
        let work: Vec<_> = out
            .chunks_mut(pieces::BATCH_ROWS * SIDE)
            .zip(a.chunks(pieces::BATCH_ROWS * SIDE))
            .collect();
        pieces::each(work, |(out, a)| {
            let rows = a.len() / SIDE;
            multiply(
                out,
                Matrix::new(a, rows, SIDE, SIDE),
                Matrix::new(&b, SIDE, SIDE, SIDE),
                false,
            );
        });
        best = best.min(begin.elapsed().as_secs_f64());
    }
    Ok(2.0 * (SIDE as f64).powi(3) / best)
}
