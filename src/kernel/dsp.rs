//! Kernel of Armv7E-M and Armv8-M with the DSP extension: `smlad` multiplies two pairs of 16 bits and adds both
//! products.
//!
//! `sxtb16` widens bytes 0 and 2 of a word of weights, and 1 and 3 after a rotation, so the input is brought into pairs
//! (0, 2), (1, 3). Four bits are masked in place and multiplied as the top of a half word. Three rows share each load
//! of the input; for four samples, each weight is loaded and unpacked once.

use super::caps::KernelCaps;
use super::dsp_scalar::{self, core_with_dsp};
use super::inputs::Inputs;
use super::interface::{BLOCK, GROUP, Kernel, SMALL};
use super::matrix::Matrix;
use crate::fixed::{NarrowRequant, WideRequant};
use core::arch::global_asm;

// How far the loops are unrolled is a matter of speed; of size, where the compiler is asked for that.
#[cfg(not(ancestral_small))]
macro_rules! unrolled {
    () => {
        ".equ UNROLL_3, 3\n.equ UNROLL_1, 1\n.equ UNROLL_S4, 2\n.equ APART, 60"
    };
}
#[cfg(ancestral_small)]
macro_rules! unrolled {
    () => {
        ".equ UNROLL_3, 1\n.equ UNROLL_1, 1\n.equ UNROLL_S4, 1\n.equ APART, 24"
    };
}
/// Three rows share an input: a fifth fewer instructions, for a second copy of the loop.
const THREES: bool = !SMALL;

global_asm!(core_with_dsp!(), unrolled!(), include_str!("dsp.s"), options(raw));

const _: () = assert!(BLOCK / GROUP == if SMALL { 6 } else { 15 });

/// See dsp.s: weights, skip, stride, input, units, end, count, sums.
type Rows = unsafe extern "C" fn(*const i8, usize, usize, *const u32, usize, *const u32, usize, *mut i32);

#[rustfmt::skip]
unsafe extern "C" {
    fn ancestral_dsp_w8x3(w: *const i8, k: usize, s: usize, i: *const u32, u: usize, e: *const u32, c: usize, o: *mut i32);
    fn ancestral_dsp_w8x1(w: *const i8, k: usize, s: usize, i: *const u32, u: usize, e: *const u32, c: usize, o: *mut i32);
    fn ancestral_dsp_w8s4(w: *const i8, k: usize, s: usize, i: *const u32, u: usize, e: *const u32, c: usize, o: *mut i32);
    fn ancestral_dsp_w4x3(w: *const i8, k: usize, s: usize, i: *const u32, u: usize, e: *const u32, c: usize, o: *mut i32);
    fn ancestral_dsp_w4x1(w: *const i8, k: usize, s: usize, i: *const u32, u: usize, e: *const u32, c: usize, o: *mut i32);
    fn ancestral_dsp_w4s4(w: *const i8, k: usize, s: usize, i: *const u32, u: usize, e: *const u32, c: usize, o: *mut i32);
}

/// See dsp.s: inputs, units, words.
type Prepare = unsafe extern "C" fn(*const u8, usize, *mut u32);

unsafe extern "C" {
    fn ancestral_dsp_bytes_1(i: *const u8, u: usize, w: *mut u32);
    fn ancestral_dsp_bytes_4(i: *const u8, u: usize, w: *mut u32);
    fn ancestral_dsp_halves_1(i: *const u8, u: usize, w: *mut u32);
    fn ancestral_dsp_halves_4(i: *const u8, u: usize, w: *mut u32);
    fn ancestral_dsp_nibbles_1(i: *const u8, u: usize, w: *mut u32);
    fn ancestral_dsp_nibbles_4(i: *const u8, u: usize, w: *mut u32);
}

/// Number of columns per turn of the assembly.
const UNIT: usize = 8;
/// Number of words of prepared input per unit and sample.
const WORDS: usize = 4;
/// Largest number of packed columns per sum: a product of a nibble and a byte takes 22 bits in the kernel's scale, and
/// as many of them fit 31.
const MOST_NIBBLES: usize = 256;

/// The kernel of cores with the DSP extension.
#[derive(Clone, Copy, Debug)]
pub struct Dsp;

/// Prepared input, and the functions that multiply it.
pub struct Prepared<'w> {
    words: &'w [u32],
    /// Three rows per turn.
    three: Rows,
    /// One row per turn, for one sample or a group of samples.
    one: Rows,
}

impl Kernel for Dsp {
    const NAME: &'static str = "dsp";
    const ZERO_POINT: i32 = 0;
    type Prepared<'w> = Prepared<'w>;
    type Work = i16;

    fn prepare<'w, P: KernelCaps>(
        matrix: &Matrix<'_>,
        inputs: Inputs<'w>,
        samples: usize,
        work: &'w mut [u32],
    ) -> Option<Prepared<'w>> {
        let (are_bytes, bytes, halves) = inputs.split_by_width::<P>();
        let packed = matrix.packs::<P>();
        let units = matrix.columns / UNIT;
        let whole = matrix.columns.is_multiple_of(UNIT) && units > 0;
        // `ldrd` wants words; a nibble's product with 16 bits would leave room for one.
        let fits = match packed {
            false => matrix.weights.as_ptr().addr().is_multiple_of(4),
            true => are_bytes,
        };
        if !(whole && fits) || inputs.len() != matrix.columns.wrapping_mul(samples) {
            return None;
        }
        let words = work.get_mut(..units * WORDS * samples)?;
        let group = P::MANY && samples == GROUP;
        let prepare: Prepare = match (are_bytes, packed, group) {
            (true, false, false) => ancestral_dsp_bytes_1,
            (true, false, true) => ancestral_dsp_bytes_4,
            (true, true, false) => ancestral_dsp_nibbles_1,
            (true, true, true) => ancestral_dsp_nibbles_4,
            (false, _, false) => ancestral_dsp_halves_1,
            (false, _, true) => ancestral_dsp_halves_4,
        };
        let (input, stride): (*const u8, usize) = match are_bytes {
            true => (bytes.as_ptr().cast(), matrix.columns),
            false => (halves.as_ptr().cast(), 2 * matrix.columns),
        };
        for sample in 0..samples {
            // SAFETY: there are `samples` times `columns` inputs, as has been found, and `stride` bytes from one
            // sample's to the next. The assembly reads `units` times eight values, which is all of one sample's, with
            // loads that need no alignment, and writes four words for each unit: all of `words` of one sample, every
            // fourth from `sample` on of four.
            unsafe { prepare(input.add(sample * stride), units, words.as_mut_ptr().add(sample)) };
        }
        let (three, one): (Rows, Rows) = match (packed, group) {
            (false, false) => (ancestral_dsp_w8x3, ancestral_dsp_w8x1),
            (true, false) => (ancestral_dsp_w4x3, ancestral_dsp_w4x1),
            (false, true) => (ancestral_dsp_w8x3, ancestral_dsp_w8s4),
            (true, true) => (ancestral_dsp_w4x3, ancestral_dsp_w4s4),
        };
        Some(Prepared { words, three, one })
    }

    fn block<P: KernelCaps>(
        matrix: &Matrix<'_>,
        prepared: &Prepared<'_>,
        weights: &[i8],
        count: usize,
        samples: usize,
        sums: &mut [i32; BLOCK],
    ) {
        if weights.len() < count.wrapping_mul(matrix.stride()) || count.wrapping_mul(samples) > BLOCK {
            return;
        }
        if matrix.packs::<P>() && matrix.columns > MOST_NIBBLES {
            chunks(matrix, prepared, weights, count, samples, sums);
        } else {
            // SAFETY: the words are those of whole rows, there are `count` rows of weights, and the sums have room for
            // them.
            unsafe { rows(matrix, prepared, 0, prepared.words, weights, count, samples, sums) };
        }
    }

    #[inline(always)]
    fn requantize(requant: NarrowRequant, sum: i32, bias: i16) -> i32 {
        dsp_scalar::requantize(requant, sum, bias)
    }

    #[inline(always)]
    fn requantize_wide(requant: WideRequant, sum: i32, bias: i16) -> i16 {
        dsp_scalar::requantize_wide(requant, sum, bias)
    }

    #[inline(always)]
    fn saturate_byte(value: i32) -> i8 {
        dsp_scalar::saturate_byte(value)
    }
}

/// Computes the sums of long packed rows as those of runs of [`MOST_NIBBLES`] columns, added up.
#[inline(never)]
fn chunks(
    matrix: &Matrix<'_>,
    prepared: &Prepared<'_>,
    weights: &[i8],
    count: usize,
    samples: usize,
    sums: &mut [i32; BLOCK],
) {
    let per_chunk = MOST_NIBBLES / UNIT * WORDS * samples;
    sums.fill(0);
    let mut first = 0;
    for words in prepared.words.chunks(per_chunk.max(1)) {
        let mut more = [0; BLOCK];
        // SAFETY: the words are those of columns from `first` on that lie inside the rows, of which there are `count`;
        // the sums have room for them.
        unsafe { rows(matrix, prepared, first, words, weights, count, samples, &mut more) };
        for (sum, &more) in sums.iter_mut().zip(&more) {
            *sum = sum.wrapping_add(more);
        }
        first += MOST_NIBBLES;
    }
}

/// Computes the sums of `count` rows over the columns from `first` on for which there are words.
///
/// # Safety
///
/// `weights` are at least `count` rows of the matrix; `words` are those of `samples` samples (1, or [`GROUP`]) of
/// columns inside the rows, in whole units; `count · samples` is at most [`BLOCK`].
#[inline(always)]
#[allow(clippy::too_many_arguments)] // one call, written once
unsafe fn rows(
    matrix: &Matrix<'_>,
    prepared: &Prepared<'_>,
    first: usize,
    words: &[u32],
    weights: &[i8],
    count: usize,
    samples: usize,
    sums: &mut [i32; BLOCK],
) {
    let stride = matrix.stride();
    let (unit, first) = match matrix.packed {
        false => (UNIT, first),
        true => (UNIT / 2, first / 2),
    };
    let units = words.len() / if samples == 1 { WORDS } else { WORDS * GROUP };
    let skip = stride - units * unit;
    let threes = if THREES && samples == 1 { count / 3 } else { 0 };
    let input = words.as_ptr_range();
    let call = |rows: Rows, row: usize, times: usize, sums: *mut i32| {
        // SAFETY: the assembly reads as many bytes of each row as there are words for, from column `first` on, which
        // lie inside `weights`; the words and nothing else; and writes one sum a row from `row` on, of each of four
        // samples BLOCK / 4 apart. Loads of two words are of 8-bit rows, whose start and stride `prepare` has found to
        // be multiples of 4.
        unsafe {
            rows(
                weights.as_ptr().add(row * stride + first),
                skip,
                stride,
                input.start,
                units,
                input.end,
                times,
                sums.add(row),
            );
        }
    };
    let sums = sums.as_mut_ptr();
    if threes != 0 {
        call(prepared.three, 0, threes, sums);
    }
    if count != 3 * threes {
        call(prepared.one, 3 * threes, count - 3 * threes, sums);
    }
}
