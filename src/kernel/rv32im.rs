//! Kernel of RISC-V with a multiplier and no vectors: four sums at a time, of four rows with one input or of one row
//! with four samples. What they share is loaded once. Nibbles are multiplied two at a time ([`swar`]).

use super::caps::KernelCaps;
use super::inputs::Inputs;
use super::interface::{BLOCK, GROUP, Kernel};
use super::matrix::Matrix;
use super::swar;
use core::arch::global_asm;

global_asm!(include_str!("rv32im.s"), options(raw));

/// See rv32im.s: weights, stride, input, end, count, sums, apart, start.
type Rows = unsafe extern "C" fn(*const i8, usize, *const u32, *const u32, usize, *mut i32, usize, *const i32);

#[rustfmt::skip]
unsafe extern "C" {
    fn ancestral_rv32im_bytes_x4(w: *const i8, s: usize, i: *const u32, e: *const u32, c: usize, o: *mut i32, a: usize, t: *const i32);
    fn ancestral_rv32im_bytes_s4(w: *const i8, s: usize, i: *const u32, e: *const u32, c: usize, o: *mut i32, a: usize, t: *const i32);
    fn ancestral_rv32im_halves_x4(w: *const i8, s: usize, i: *const u32, e: *const u32, c: usize, o: *mut i32, a: usize, t: *const i32);
    fn ancestral_rv32im_halves_s4(w: *const i8, s: usize, i: *const u32, e: *const u32, c: usize, o: *mut i32, a: usize, t: *const i32);
    fn ancestral_rv32im_nibbles_x4(w: *const i8, s: usize, i: *const u32, e: *const u32, c: usize, o: *mut i32, a: usize, t: *const i32);
    fn ancestral_rv32im_nibbles_s4(w: *const i8, s: usize, i: *const u32, e: *const u32, c: usize, o: *mut i32, a: usize, t: *const i32);
}

/// Number of byte columns per turn of the loop.
const UNIT: usize = 8;
/// Number of rows per turn of the outer loop, for one sample.
const ROWS: usize = 4;

/// The kernel of 32-bit RISC-V.
#[derive(Clone, Copy, Debug)]
pub struct Rv32im;

/// Prepared input, one sample after the other, and the function that multiplies it.
pub struct Prepared<'w> {
    words: &'w [u32],
    rows: Rows,
    /// Start value of each sample's sums of nibbles.
    start: [i32; GROUP],
}

impl Kernel for Rv32im {
    const NAME: &'static str = "rv32im";
    // Nibbles are multiplied without a sign.
    const ZERO_POINT: i32 = 128;
    type Prepared<'w> = Prepared<'w>;
    type Work = i16;

    fn prepare<'w, P: KernelCaps>(
        matrix: &Matrix<'_>,
        inputs: Inputs<'w>,
        samples: usize,
        work: &'w mut [u32],
    ) -> Option<Prepared<'w>> {
        let (are_bytes, bytes, halves) = inputs.split_by_width::<P>();
        let (columns, packed) = (matrix.columns, matrix.packs::<P>());
        let unit = if packed { swar::COLUMNS } else { UNIT };
        let fits = columns.is_multiple_of(unit)
            && columns != 0
            && inputs.len() == columns.wrapping_mul(samples)
            && (are_bytes || !packed)
            && (!packed || matrix.weights.as_ptr().addr().is_multiple_of(4));
        if !fits {
            return None;
        }
        let per_word = if are_bytes && !packed { 4 } else { 2 };
        let words = work.get_mut(..inputs.len() / per_word)?;
        let mut start = [0; GROUP];
        let one = !P::MANY || samples == 1;
        let rows: Rows = match (are_bytes, packed) {
            (true, false) => {
                swar::unsigned(bytes, words);
                if one {
                    ancestral_rv32im_bytes_x4
                } else {
                    ancestral_rv32im_bytes_s4
                }
            }
            (true, true) => {
                let each = bytes
                    .chunks_exact(columns.max(1))
                    .zip(words.chunks_exact_mut((columns / 2).max(1)));
                for ((input, words), start) in each.zip(&mut start) {
                    [*start, ..] = swar::pairs(input, columns, 1, words);
                }
                if one {
                    ancestral_rv32im_nibbles_x4
                } else {
                    ancestral_rv32im_nibbles_s4
                }
            }
            (false, _) => {
                swar::halves(halves, words);
                if one {
                    ancestral_rv32im_halves_x4
                } else {
                    ancestral_rv32im_halves_s4
                }
            }
        };
        Some(Prepared { words, rows, start })
    }

    fn block<P: KernelCaps>(
        matrix: &Matrix<'_>,
        prepared: &Prepared<'_>,
        weights: &[i8],
        count: usize,
        samples: usize,
        sums: &mut [i32; BLOCK],
    ) {
        let stride = matrix.stride();
        if weights.len() < count.wrapping_mul(stride) || count.wrapping_mul(samples) > BLOCK {
            return;
        }
        let words = prepared.words.len() / if samples == 1 { 1 } else { GROUP };
        let input = prepared.words.as_ptr();
        let sums = sums.as_mut_ptr();
        let call = |row: usize, times: usize, stride: usize| {
            // SAFETY: the assembly reads rows from row `row` on, which lie inside `weights`: `times` of them, or, of
            // one sample, `times` times four, or one where `stride` is 0. It reads the words of the input, of each
            // sample as many, which are whole units as `prepare` has found, and `start`. It writes one sum a row, of
            // each of four samples BLOCK / 4 apart, or four times the same sum, which BLOCK has room for.
            unsafe {
                (prepared.rows)(
                    weights.as_ptr().add(row * matrix.stride()),
                    stride,
                    input,
                    input.add(words),
                    times,
                    sums.add(row),
                    4 * words,
                    prepared.start.as_ptr(),
                );
            }
        };
        if samples != 1 {
            return call(0, count, stride);
        }
        if count >= ROWS {
            call(0, count / ROWS, stride);
            if count % ROWS != 0 {
                // The last four once more, where some were done before.
                call(count - ROWS, 1, stride);
            }
        } else {
            for row in 0..count {
                call(row, 1, 0);
            }
        }
    }
}

const _: () = assert!(BLOCK / GROUP == 15);
