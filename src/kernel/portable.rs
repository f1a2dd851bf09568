//! Safe Rust that any core runs.

use super::{BLOCK, Inputs, Kernel, Matrix, Pass, block_rows};
use half::f16;

/// The reference.
#[derive(Clone, Copy, Debug)]
pub struct Portable;

impl Kernel for Portable {
    const NAME: &'static str = "portable";
    const ORIGIN: i32 = 0;
    type Prepared<'w> = Inputs<'w>;

    fn prepare<'w, P: Pass>(
        _matrix: &Matrix<'_>,
        inputs: Inputs<'w>,
        _samples: usize,
        _work: &'w mut [u32],
    ) -> Option<Inputs<'w>> {
        Some(inputs)
    }

    fn block<P: Pass>(
        matrix: &Matrix<'_>,
        inputs: &Inputs<'_>,
        weights: &[i8],
        _count: usize,
        samples: usize,
        sums: &mut [i32; BLOCK],
    ) {
        block::<P>(matrix, *inputs, weights, samples, Self::ORIGIN, sums);
    }
}

/// See [`Kernel::block`]; `origin` is the kernel's that this one stands in for.
// Not part of the walk of a kernel that hardly ever needs it.
#[inline(never)]
pub(super) fn block<P: Pass>(
    matrix: &Matrix<'_>,
    inputs: Inputs<'_>,
    weights: &[i8],
    samples: usize,
    origin: i32,
    sums: &mut [i32; BLOCK],
) {
    let of_another = cfg!(not(any(ancestral_kernel = "portable", ancestral_kernel = "desktop")));
    if of_another && matrix.packs::<P>() {
        return ragged::<P>(matrix, inputs, weights, samples, origin, sums);
    }
    loops::<P>(matrix, inputs, weights, samples, origin, sums);
}

/// [`block`], in code of its own wherever it is called.
#[inline(always)]
pub(super) fn loops<P: Pass>(
    matrix: &Matrix<'_>,
    inputs: Inputs<'_>,
    weights: &[i8],
    samples: usize,
    origin: i32,
    sums: &mut [i32; BLOCK],
) {
    match inputs.of::<P>() {
        (true, bytes, _) => rows::<P, i8>(matrix, bytes, weights, samples, origin, sums),
        (false, _, halves) => rows::<P, i16>(matrix, halves, weights, samples, 0, sums),
    }
}

/// [`block`] of packed rows, for another kernel: it leaves such rows to this one so seldom that they are worth little flash.
fn ragged<P: Pass>(
    matrix: &Matrix<'_>,
    inputs: Inputs<'_>,
    weights: &[i8],
    samples: usize,
    origin: i32,
    sums: &mut [i32; BLOCK],
) {
    let (are_bytes, bytes, halves) = inputs.of::<P>();
    for (row, weights) in weights.chunks_exact(matrix.stride().max(1)).enumerate() {
        for sample in 0..samples {
            let mut sum = 0i32;
            for column in 0..matrix.columns {
                let at = sample * matrix.columns + column;
                let input = match are_bytes {
                    true => i32::from(bytes.get(at).copied().unwrap_or(0)) + origin,
                    false => i32::from(halves.get(at).copied().unwrap_or(0)),
                };
                let [even, odd] = unpack(weights.get(column / 2).copied().unwrap_or(0));
                sum = sum.wrapping_add(input * if column % 2 == 0 { even } else { odd });
            }
            if let Some(slot) = sums.get_mut(sample * block_rows(samples) + row) {
                *slot = sum;
            }
        }
    }
}

/// [`block`] for one type of input.
#[inline(always)]
fn rows<P: Pass, A: Copy + Into<i32>>(
    matrix: &Matrix<'_>,
    inputs: &[A],
    weights: &[i8],
    samples: usize,
    origin: i32,
    sums: &mut [i32; BLOCK],
) {
    let packed = matrix.packs::<P>();
    for (row, weights) in weights.chunks_exact(matrix.stride().max(1)).enumerate() {
        for (sample, input) in inputs.chunks_exact(matrix.columns.max(1)).enumerate() {
            let sum = match packed {
                false if origin == 0 => dot_i8(weights, input),
                false => total(weights, input, origin),
                true => dot_i4(weights, input),
            };
            if let Some(slot) = sums.get_mut(sample * block_rows(samples) + row) {
                *slot = sum;
            }
        }
    }
}

/// `Σ w_i (a_i + origin)`.
fn total<A: Copy + Into<i32>>(weights: &[i8], input: &[A], origin: i32) -> i32 {
    let products = weights
        .iter()
        .zip(input)
        .map(|(&w, &a)| i32::from(w) * (a.into() + origin));
    products.fold(0, i32::wrapping_add)
}

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
    pairwise(lanes)
}

/// The sum of the lanes: l with l + 8, then + 4, + 2, + 1.
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

/// [`dot_f32`] with weights in half precision, each widened exactly: the same order of additions, so the same bits as the widened
/// weights give.
pub fn dot_f16(weights: &[f16], input: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (w_blocks, w_rest) = weights.as_chunks::<LANES>();
    let (a_blocks, a_rest) = input.as_chunks::<LANES>();
    for (w, a) in w_blocks.iter().zip(a_blocks) {
        for (lane, (w, a)) in lanes.iter_mut().zip(w.iter().zip(a)) {
            *lane += super::widen(w.to_bits()) * a;
        }
    }
    for (lane, (w, a)) in lanes.iter_mut().zip(w_rest.iter().zip(a_rest)) {
        *lane += super::widen(w.to_bits()) * a;
    }
    pairwise(lanes)
}

/// The value of a half-precision pattern, without a branch so that a compiler can do many at once. Equal to `half`'s on all 65,536
/// patterns (a test compares them); a signalling NaN comes out quiet.
#[inline(always)]
pub fn widen(bits: u16) -> f32 {
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

/// `Σ w_i a_i`, exact: the exporter has proved for each row that no partial sum leaves 32 bits.
#[inline(always)]
pub fn dot_i8<A: Copy + Into<i32>>(weights: &[i8], input: &[A]) -> i32 {
    weights
        .iter()
        .zip(input)
        .fold(0i32, |sum, (&w, &a)| sum.wrapping_add(i32::from(w) * a.into()))
}

/// [`dot_i8`] with two 4-bit weights in a byte: the even column's in the low half, two's complement. The last byte of an odd row
/// has an empty high half.
#[inline(always)]
pub fn dot_i4<A: Copy + Into<i32>>(packed: &[i8], input: &[A]) -> i32 {
    let (pairs, rest) = input.as_chunks::<2>();
    let sum = packed.iter().zip(pairs).fold(0i32, |sum, (&byte, &[even, odd])| {
        let [low, high] = unpack(byte);
        sum.wrapping_add(low * even.into()).wrapping_add(high * odd.into())
    });
    match (rest, packed.get(pairs.len())) {
        (&[a], Some(&byte)) => sum.wrapping_add(unpack(byte)[0] * a.into()),
        _ => sum,
    }
}

/// The two weights of a byte: even column, odd column.
#[inline(always)]
pub const fn unpack(byte: i8) -> [i32; 2] {
    [((byte << 4) >> 4) as i32, (byte >> 4) as i32]
}

/// Two weights in −8..=7 in a byte; the inverse of [`unpack`].
#[inline(always)]
pub const fn pack(even: i8, odd: i8) -> i8 {
    (even & 0x0F) | (odd << 4)
}

/// A row-major matrix of weights in −8..=7, packed row by row.
#[cfg(feature = "alloc")]
pub fn pack_rows(weights: &[i8], columns: usize) -> alloc::vec::Vec<i8> {
    weights
        .chunks(columns.max(1))
        .flat_map(|row| row.chunks(2))
        .map(|pair| match *pair {
            [even, odd] => pack(even, odd),
            [even] => pack(even, 0),
            _ => 0,
        })
        .collect()
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
            let (ours, theirs) = (widen(bits), f16::from_bits(bits).to_f32());
            assert_eq!(ours.to_bits(), theirs.to_bits(), "{bits:04x}: {ours} {theirs}");
        }
    }

    #[test]
    fn packing_is_undone() {
        for even in -8..8 {
            for odd in -8..8 {
                assert_eq!(unpack(pack(even, odd)), [i32::from(even), i32::from(odd)]);
            }
        }
    }

    proptest! {
        #[test]
        fn packed_products_are_the_plain_ones(w in proptest::collection::vec(-8i8..8, 0..40), seed in any::<i16>()) {
            let input: Vec<i16> = (0..w.len()).map(|i| seed.wrapping_mul(i as i16 * 77 + 1)).collect();
            let packed = pack_rows(&w, w.len());
            let exact: i64 = w.iter().zip(&input).map(|(&w, &a)| i64::from(w) * i64::from(a)).sum();
            prop_assert_eq!(i64::from(dot_i4(&packed, &input)), exact);
            prop_assert_eq!(i64::from(dot_i8(&w, &input)), exact);
        }

        #[test]
        fn half_products_are_the_single_ones_of_the_widened_weights(w in proptest::collection::vec(-4f32..4.0, 0..70)) {
            let half: Vec<f16> = w.iter().map(|&w| f16::from_f32(w)).collect();
            let single: Vec<f32> = half.iter().map(|h| h.to_f32()).collect();
            let input: Vec<f32> = (0..w.len()).map(|i| (i as f32 * 0.37).sin()).collect();
            prop_assert_eq!(dot_f16(&half, &input).to_bits(), dot_f32(&single, &input).to_bits());
        }
    }
}
