//! Dot products of the float formats, with the same bits on every core.

use half::f16;

/// Number of partial sums in a float product. Fixed, because the order of float additions is part of the result: every
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
    pairwise(lanes)
}

/// Adds up the lanes: l with l + 8, then + 4, + 2, + 1.
fn pairwise(mut lanes: [f32; LANES]) -> f32 {
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

/// [`dot_f32`] with weights in half precision, each widened exactly: the same order of additions, and so the same bits
/// as the widened weights give.
pub fn dot_f16(weights: &[f16], input: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (w_blocks, w_rest) = weights.as_chunks::<LANES>();
    let (a_blocks, a_rest) = input.as_chunks::<LANES>();
    for (w, a) in w_blocks.iter().zip(a_blocks) {
        for (lane, (w, a)) in lanes.iter_mut().zip(w.iter().zip(a)) {
            *lane += widen(w.to_bits()) * a;
        }
    }
    for (lane, (w, a)) in lanes.iter_mut().zip(w_rest.iter().zip(a_rest)) {
        *lane += widen(w.to_bits()) * a;
    }
    pairwise(lanes)
}

/// The value of a [`half::f16`], exactly: by the FPU's own instruction if the build script found one, else by
/// [`widen_portable`].
#[inline(always)]
pub fn widen(bits: u16) -> f32 {
    #[cfg(ancestral_vcvt)]
    {
        super::vcvt::widen(bits)
    }
    #[cfg(not(ancestral_vcvt))]
    {
        widen_portable(bits)
    }
}

/// The value of a half-precision pattern in integer arithmetic and one product, without a branch, so that a compiler
/// can vectorize it. Equal to that of the crate `half` on all 65,536 patterns (a test compares them); a signaling NaN
/// comes out quiet.
#[inline(always)]
pub fn widen_portable(bits: u16) -> f32 {
    let magnitude = u32::from(bits & 0x7FFF) << 13;
    // Exponent and mantissa are in place but for the exponent's bias: 2^112 makes up for it, subnormals included.
    let scaled = (f32::from_bits(magnitude) * f32::from_bits(0x7780_0000)).to_bits();
    let special = magnitude >= 0x0F80_0000; // infinity or NaN
    let quiet = if magnitude > 0x0F80_0000 { 0x0040_0000 } else { 0 };
    let value = if special {
        magnitude | 0x7F80_0000 | quiet
    } else {
        scaled
    };
    f32::from_bits(value | u32::from(bits & 0x8000) << 16)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn widening_is_that_of_half_on_every_pattern() {
        for bits in 0..=u16::MAX {
            let (ours, theirs) = (widen_portable(bits), f16::from_bits(bits).to_f32());
            assert_eq!(ours.to_bits(), theirs.to_bits(), "{bits:04x}: {ours} {theirs}");
        }
    }

    proptest! {
        #[test]
        fn half_products_are_the_single_ones_of_the_widened_weights(w in proptest::collection::vec(-4f32..4.0, 0..70)) {
            let half: Vec<f16> = w.iter().map(|&w| f16::from_f32(w)).collect();
            let single: Vec<f32> = half.iter().map(|h| h.to_f32()).collect();
            let input: Vec<f32> = (0..w.len()).map(|i| (i as f32 * 0.37).sin()).collect();
            prop_assert_eq!(dot_f16(&half, &input).to_bits(), dot_f32(&single, &input).to_bits());
        }
    }
}
