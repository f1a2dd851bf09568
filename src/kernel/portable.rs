//! The portable kernel: safe Rust that any core runs.

use super::caps::KernelCaps;
use super::inputs::Inputs;
use super::interface::{BLOCK, Kernel, block_rows};
use super::matrix::Matrix;

/// The reference kernel.
#[derive(Clone, Copy, Debug)]
pub struct Portable;

impl Kernel for Portable {
    const NAME: &'static str = "portable";
    const ZERO_POINT: i32 = 0;
    type Prepared<'w> = Inputs<'w>;
    type Work = ();

    fn prepare<'w, P: KernelCaps>(
        _matrix: &Matrix<'_>,
        inputs: Inputs<'w>,
        _samples: usize,
        _work: &'w mut [u32],
    ) -> Option<Inputs<'w>> {
        Some(inputs)
    }

    fn block<P: KernelCaps>(
        matrix: &Matrix<'_>,
        inputs: &Inputs<'_>,
        weights: &[i8],
        _count: usize,
        samples: usize,
        sums: &mut [i32; BLOCK],
    ) {
        block::<Self, P>(matrix, *inputs, weights, samples, sums);
    }
}

/// [`Kernel::block`] in place of the kernel `K`, with its zero point.
// Not part of the walk of a kernel that hardly ever needs it.
#[inline(never)]
pub(super) fn block<K: Kernel, P: KernelCaps>(
    matrix: &Matrix<'_>,
    inputs: Inputs<'_>,
    weights: &[i8],
    samples: usize,
    sums: &mut [i32; BLOCK],
) {
    // A kernel with a work area has loops of its own for packed rows.
    let in_place_of_another = size_of::<K::Work>() != 0;
    if in_place_of_another && matrix.packs::<P>() {
        return ragged::<P>(matrix, inputs, weights, samples, K::ZERO_POINT, sums);
    }
    loops::<P>(matrix, inputs, weights, samples, K::ZERO_POINT, sums);
}

/// [`block`], compiled anew wherever it is called.
#[inline(always)]
pub(super) fn loops<P: KernelCaps>(
    matrix: &Matrix<'_>,
    inputs: Inputs<'_>,
    weights: &[i8],
    samples: usize,
    zero_point: i32,
    sums: &mut [i32; BLOCK],
) {
    match inputs.split_by_width::<P>() {
        (true, bytes, _) => rows::<P, i8>(matrix, bytes, weights, samples, zero_point, sums),
        (false, _, halves) => rows::<P, i16>(matrix, halves, weights, samples, 0, sums),
    }
}

/// [`block`] of packed rows in place of another kernel, which leaves them to this one so seldom that they are worth
/// little flash.
fn ragged<P: KernelCaps>(
    matrix: &Matrix<'_>,
    inputs: Inputs<'_>,
    weights: &[i8],
    samples: usize,
    zero_point: i32,
    sums: &mut [i32; BLOCK],
) {
    let (are_bytes, bytes, halves) = inputs.split_by_width::<P>();
    for (row, weights) in weights.chunks_exact(matrix.stride().max(1)).enumerate() {
        for sample in 0..samples {
            let mut sum = 0i32;
            for column in 0..matrix.columns {
                let at = sample * matrix.columns + column;
                let input = match are_bytes {
                    true => i32::from(bytes.get(at).copied().unwrap_or(0)) + zero_point,
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
fn rows<P: KernelCaps, A: Copy + Into<i32>>(
    matrix: &Matrix<'_>,
    inputs: &[A],
    weights: &[i8],
    samples: usize,
    zero_point: i32,
    sums: &mut [i32; BLOCK],
) {
    let packed = matrix.packs::<P>();
    for (row, weights) in weights.chunks_exact(matrix.stride().max(1)).enumerate() {
        for (sample, input) in inputs.chunks_exact(matrix.columns.max(1)).enumerate() {
            let sum = match packed {
                false if zero_point == 0 => dot_i8(weights, input),
                false => total(weights, input, zero_point),
                true => dot_i4(weights, input),
            };
            if let Some(slot) = sums.get_mut(sample * block_rows(samples) + row) {
                *slot = sum;
            }
        }
    }
}

/// `Σ w_i (a_i + zero_point)`.
fn total<A: Copy + Into<i32>>(weights: &[i8], input: &[A], zero_point: i32) -> i32 {
    let products = weights
        .iter()
        .zip(input)
        .map(|(&w, &a)| i32::from(w) * (a.into() + zero_point));
    products.fold(0, i32::wrapping_add)
}

/// `Σ w_i a_i`, exact: the exporter has proved for each row that no partial sum leaves 32 bits.
#[inline(always)]
pub fn dot_i8<A: Copy + Into<i32>>(weights: &[i8], input: &[A]) -> i32 {
    weights
        .iter()
        .zip(input)
        .fold(0i32, |sum, (&w, &a)| sum.wrapping_add(i32::from(w) * a.into()))
}

/// [`dot_i8`] with two 4-bit weights in a byte: the even column's in the low half, two's complement. The last byte of
/// an odd row has an empty high half.
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

/// Unpacks the two weights of a byte: even column, odd column.
#[inline(always)]
pub const fn unpack(byte: i8) -> [i32; 2] {
    [((byte << 4) >> 4) as i32, (byte >> 4) as i32]
}

/// Packs two weights in −8..=7 into a byte; the inverse of [`unpack`].
#[inline(always)]
pub const fn pack(even: i8, odd: i8) -> i8 {
    (even & 0x0F) | (odd << 4)
}

/// Packs a row-major matrix of weights in −8..=7, row by row.
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

#[cfg(all(test, feature = "alloc"))]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

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
    }
}
