//! Kernel of Helium, the vector extension of Cortex-M55 and M85: sixteen products per instruction, of bytes as they lie
//! in the model file. Four rows share each load of the input; for a group of samples, two rows and four samples share
//! all loads. Activations are made four at a time.

use super::caps::KernelCaps;
use super::dsp_scalar;
use super::inputs::Inputs;
use super::interface::{BLOCK, GROUP, Kernel};
use super::matrix::Matrix;
use crate::fixed::{NarrowRequant, WideRequant};
use core::arch::global_asm;

global_asm!(include_str!("helium.s"), options(raw));

/// See helium.s: weights, stride, input, turns, rest, count, sums.
type Rows = unsafe extern "C" fn(*const i8, usize, *const u8, usize, usize, usize, *mut i32);

#[rustfmt::skip]
unsafe extern "C" {
    fn ancestral_mve_bytes_x4(w: *const i8, s: usize, i: *const u8, t: usize, r: usize, c: usize, o: *mut i32);
    fn ancestral_mve_halves_x4(w: *const i8, s: usize, i: *const u8, t: usize, r: usize, c: usize, o: *mut i32);
    fn ancestral_mve_nibbles_x4(w: *const i8, s: usize, i: *const u8, t: usize, r: usize, c: usize, o: *mut i32);
    fn ancestral_mve_bytes_x2s4(w: *const i8, s: usize, i: *const u8, t: usize, r: usize, c: usize, o: *mut i32);
    fn ancestral_mve_activate(s: *const i32, q: *const NarrowRequant, b: *const i16, x: *const i8, o: *mut i8, c: usize);
    fn ancestral_mve_activate_residual(s: *const i32, q: *const NarrowRequant, b: *const i16, x: *const i8, o: *mut i8, c: usize);
}

/// Number of bytes in a vector.
const VECTOR: usize = 16;
/// Number of vectors per turn of the unrolled loops.
const UNROLL: usize = 4;
/// Number of 4-bit columns per turn.
const NIBBLES: usize = 32;

/// The kernel of cores with Helium.
#[derive(Clone, Copy, Debug)]
pub struct Helium;

/// The input and the function that multiplies it. The inputs of a group of samples lie side by side in blocks of
/// [`VECTOR`].
pub struct Prepared<'w> {
    input: &'w [u8],
    rows: Rows,
    /// Number of rows per turn of the outer loop.
    at_once: usize,
    turns: usize,
    rest: usize,
}

impl Kernel for Helium {
    const NAME: &'static str = "helium";
    const ZERO_POINT: i32 = 0;
    type Prepared<'w> = Prepared<'w>;
    type Work = i16;

    fn samples<P: KernelCaps>(matrix: &Matrix<'_>, inputs: Inputs<'_>) -> usize {
        if inputs.split_by_width::<P>().0 && !matrix.packs::<P>() && matrix.columns.is_multiple_of(VECTOR) {
            GROUP
        } else {
            1
        }
    }

    fn prepare<'w, P: KernelCaps>(
        matrix: &Matrix<'_>,
        inputs: Inputs<'w>,
        samples: usize,
        work: &'w mut [u32],
    ) -> Option<Prepared<'w>> {
        let columns = matrix.columns;
        if columns == 0 || inputs.len() != columns.wrapping_mul(samples) {
            return None;
        }
        let (are_bytes, bytes, halves) = inputs.split_by_width::<P>();
        let bytes: &[u8] = match are_bytes {
            true => bytemuck::must_cast_slice(bytes),
            false => bytemuck::must_cast_slice(halves),
        };
        let samples = if P::MANY { samples } else { 1 };
        let (rows, at_once, unit): (Rows, usize, usize) = match (are_bytes, matrix.packs::<P>(), samples) {
            (true, false, 1) => (ancestral_mve_bytes_x4, 4, VECTOR * UNROLL),
            (true, false, _) => {
                let words = work.get_mut(..bytes.len() / 4)?;
                let blocks: &mut [[u8; VECTOR]] = bytemuck::try_cast_slice_mut(words).ok()?;
                for (sample, input) in bytes.chunks_exact(columns.max(1)).enumerate() {
                    let slots = blocks.as_chunks_mut::<GROUP>().0.iter_mut();
                    for (slots, block) in slots.zip(input.as_chunks::<VECTOR>().0) {
                        if let Some(slot) = slots.get_mut(sample) {
                            *slot = *block;
                        }
                    }
                }
                return Some(Prepared {
                    input: bytemuck::must_cast_slice(words),
                    rows: ancestral_mve_bytes_x2s4,
                    at_once: 2,
                    turns: columns / (VECTOR * UNROLL),
                    rest: columns / VECTOR % UNROLL,
                });
            }
            (true, true, _) if columns.is_multiple_of(NIBBLES) => (ancestral_mve_nibbles_x4, 4, NIBBLES),
            (true, true, _) => return None,
            (false, false, _) => (ancestral_mve_halves_x4, 4, VECTOR / 2 * UNROLL),
            (false, true, _) => return None,
        };
        Some(Prepared {
            input: bytes,
            rows,
            at_once,
            turns: columns / unit,
            rest: columns % unit,
        })
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
        let sums = sums.as_mut_ptr();
        let call = |row: usize, times: usize, stride: usize| {
            // SAFETY: the assembly reads rows from row `row` on, which lie inside `weights`: `times` times `at_once` of
            // them, or one of them again and again where `stride` is 0; of each row and of the input as many bytes as
            // there are columns, which is what turns and rest add up to. It writes one sum a row, of each of four
            // samples BLOCK / 4 apart, which the sums have room for: a row that is read again and again is the first of
            // fewer than `at_once`.
            unsafe {
                (prepared.rows)(
                    weights.as_ptr().add(row * matrix.stride()),
                    stride,
                    prepared.input.as_ptr(),
                    prepared.turns,
                    prepared.rest,
                    times,
                    sums.add(row),
                );
            }
        };
        let at_once = prepared.at_once;
        if count >= at_once {
            call(0, count / at_once, stride);
            if count % at_once != 0 {
                // The last ones once more, where some were done before.
                call(count - at_once, 1, stride);
            }
        } else {
            for row in 0..count {
                call(row, 1, 0);
            }
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

    #[inline(always)]
    fn activate(
        sums: &[i32],
        requant: &[NarrowRequant],
        biases: &[i16],
        before: Option<&[i8]>,
        output: &mut [i8],
    ) -> usize {
        activate(sums, requant, biases, before, output)
    }
}

const _: () = assert!(BLOCK / GROUP == 32);

/// Makes the activations of as many rows as fill vectors; returns how many.
///
/// * `before`: what a residual layer adds, or nothing.
fn activate(sums: &[i32], requant: &[NarrowRequant], biases: &[i16], before: Option<&[i8]>, out: &mut [i8]) -> usize {
    let rows = sums.len().min(requant.len()).min(biases.len()).min(out.len());
    let rows = before.map_or(rows, |before| rows.min(before.len()));
    let turns = rows / 4;
    if turns == 0 {
        return 0;
    }
    let function = match before {
        Some(_) => ancestral_mve_activate_residual,
        None => ancestral_mve_activate,
    };
    // SAFETY: the assembly reads and writes `4·turns` entries of each, and each has at least that number; it does not
    // read `before` where there is none.
    unsafe {
        function(
            sums.as_ptr(),
            requant.as_ptr(),
            biases.as_ptr(),
            before.map_or(core::ptr::null(), <[i8]>::as_ptr),
            out.as_mut_ptr(),
            turns,
        );
    }
    4 * turns
}
