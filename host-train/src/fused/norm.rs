//! The norm of a gradient, for clipping.

use super::lanes;
use super::storage::Open;
use candle_core::{Result, Tensor};

/// Elements of one partial sum in f32; their sums are added in f64.
const BLOCK: usize = 4096;

/// Returns `Σ aᵢ²` of a dense `f32` tensor on the CPU.
pub fn squared_norm(tensor: &Tensor) -> Result<f64> {
    let open = Open::new([tensor]);
    let mut sum = 0.0;
    for values in open.slices("fused-norm")? {
        for block in values.chunks(BLOCK) {
            sum += f64::from(lanes::sum_of_squares(block));
        }
    }
    Ok(sum)
}
