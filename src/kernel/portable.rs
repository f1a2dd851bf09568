//! Safe Rust that any core runs.

use crate::number::Q3_12;

/// How many partial sums a float product keeps. Fixed, because the order of float additions is part of the result: every
/// core adds the same numbers in the same order and gets the same bits.
pub const LANES: usize = 16;

/// `Σ a_i b_i` over the shorter of the two: lane `l` sums the products of i ≡ l (mod 16) in order, then
/// the lanes are added pairwise, l with l + 8, then + 4, + 2, + 1. No fused multiply-add.
pub fn dot_f32(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (a_blocks, a_rest) = a.as_chunks::<LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += a * b;
        }
    }
    for (lane, (a, b)) in lanes.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *lane += a * b;
    }
    let mut width = LANES / 2;
    while width > 0 {
        let (low, high) = lanes.split_at_mut(width);
        for (low, high) in low.iter_mut().zip(high.iter()) {
            *low += high;
        }
        width /= 2;
    }
    lanes[0]
}

/// `Σ w_i a_i`, exact: the exporter has proved for each row that no partial sum leaves 32 bits.
pub fn dot_w8a16(weights: &[i8], input: &[Q3_12]) -> i32 {
    weights
        .iter()
        .zip(input)
        .fold(0i32, |sum, (&w, &a)| sum.wrapping_add(i32::from(w) * i32::from(a.0)))
}
