//! Kernel of Armv6-M: Cortex-M0, M0+ and M1. Bytes are unpacked by shifts, once for two rows or for four samples;
//! nibbles are multiplied two at a time ([`swar`]).

use super::caps::KernelCaps;
use super::inputs::Inputs;
use super::interface::{BLOCK, GROUP, Kernel};
use super::matrix::Matrix;
use super::swar;
use crate::fixed::NarrowRequant;
use core::arch::{asm, global_asm};
use core::ptr;

global_asm!(include_str!("armv6m.s"), options(raw));

/// See armv6m.s: weights, skip, second, input, bulk, end, count, sums, start.
type Rows =
    unsafe extern "C" fn(*const i8, usize, isize, *const u32, *const u32, *const u32, usize, *mut i32, *const i32);

#[rustfmt::skip]
unsafe extern "C" {
    fn ancestral_v6m_bytes_x2(w: *const i8, k: usize, s: isize, i: *const u32, b: *const u32, e: *const u32, c: usize, o: *mut i32, t: *const i32);
    fn ancestral_v6m_bytes_s4(w: *const i8, k: usize, s: isize, i: *const u32, b: *const u32, e: *const u32, c: usize, o: *mut i32, t: *const i32);
    fn ancestral_v6m_halves_x2(w: *const i8, k: usize, s: isize, i: *const u32, b: *const u32, e: *const u32, c: usize, o: *mut i32, t: *const i32);
    fn ancestral_v6m_nibbles_x1(w: *const i8, k: usize, s: isize, i: *const u32, b: *const u32, e: *const u32, c: usize, o: *mut i32, t: *const i32);
    fn ancestral_v6m_nibbles_s4(w: *const i8, k: usize, s: isize, i: *const u32, b: *const u32, e: *const u32, c: usize, o: *mut i32, t: *const i32);
}

/// The kernel of Armv6-M.
#[derive(Clone, Copy, Debug)]
pub struct Armv6m;

/// Prepared input, and the function that multiplies it.
pub struct Prepared<'w> {
    words: &'w [u32],
    rows: Rows,
    /// Two rows per turn.
    two: bool,
    bulk: *const u32,
    /// Start value of each sample's sums of nibbles.
    start: [i32; GROUP],
}

impl Kernel for Armv6m {
    const NAME: &'static str = "armv6m";
    // Bytes are loaded and nibbles multiplied without a sign.
    const ZERO_POINT: i32 = 128;
    type Prepared<'w> = Prepared<'w>;
    type Work = i16;

    fn samples<P: KernelCaps>(matrix: &Matrix<'_>, inputs: Inputs<'_>) -> usize {
        let unit = if matrix.packs::<P>() { swar::COLUMNS } else { 8 };
        if inputs.split_by_width::<P>().0 && matrix.columns.is_multiple_of(unit) {
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
        let (are_bytes, bytes, halves) = inputs.split_by_width::<P>();
        let (columns, packed) = (matrix.columns, matrix.packs::<P>());
        let unit = if packed { swar::COLUMNS } else { 4 };
        let fits = columns.is_multiple_of(unit)
            && columns != 0
            && inputs.len() == columns.wrapping_mul(samples)
            && matrix.weights.as_ptr().addr().is_multiple_of(4)
            && (are_bytes || !packed);
        if !fits {
            return None;
        }
        let per_word = if are_bytes && !packed { 4 } else { 2 };
        let words = work.get_mut(..inputs.len() / per_word)?;
        let mut start = [0; GROUP];
        let (rows, two, bulk): (Rows, bool, usize) = match (are_bytes, packed, if P::MANY { samples } else { 1 }) {
            (true, false, 1) => {
                swar::unsigned(bytes, words);
                (ancestral_v6m_bytes_x2, true, columns / 16 * 4)
            }
            (true, false, _) => {
                interleave(bytes, columns, words);
                (ancestral_v6m_bytes_s4, false, 0)
            }
            (true, true, _) => {
                start = swar::pairs(bytes, columns, samples, words);
                let rows: Rows = if samples == 1 {
                    ancestral_v6m_nibbles_x1
                } else {
                    ancestral_v6m_nibbles_s4
                };
                (rows, false, 0)
            }
            (false, _, _) => {
                swar::halves(halves, words);
                (ancestral_v6m_halves_x2, true, 0)
            }
        };
        let words: &[u32] = words;
        let odd = (columns / swar::COLUMNS) & 1 != 0;
        let bulk = match (packed, samples) {
            (true, 1) if odd => ptr::without_provenance(1),
            (true, 1) => ptr::null(),
            _ => words.get(bulk..).unwrap_or(&[]).as_ptr(),
        };
        Some(Prepared {
            words,
            rows,
            two,
            bulk,
            start,
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
        let input = prepared.words.as_ptr_range();
        let sums = sums.as_mut_ptr();
        let call = |row: usize, times: usize, skip: usize, second: isize| {
            // SAFETY: the assembly reads whole rows from row `row` on, `times` of them or `times` pairs `second + 4`
            // bytes apart, all inside `weights`, and words that are aligned, because the matrix and its stride are. It
            // reads the words of the input, of which there are whole units as `prepare` has found, and `start`; it
            // writes one sum a row (of each of four samples, BLOCK / 4 apart), the last of an odd number of rows twice,
            // for which there is room because BLOCK is even.
            unsafe {
                (prepared.rows)(
                    weights.as_ptr().add(row * stride),
                    skip,
                    second,
                    input.start,
                    prepared.bulk,
                    input.end,
                    times,
                    sums.add(row),
                    prepared.start.as_ptr(),
                );
            }
        };
        if !prepared.two {
            return call(0, count, 0, 0);
        }
        if count > 1 {
            call(0, count / 2, stride, stride as isize - 4);
        }
        if count % 2 != 0 {
            // A pair of one row with itself.
            call(count - 1, 1, 0, -4);
        }
    }

    #[inline(always)]
    fn requantize(requant: NarrowRequant, sum: i32, bias: i16) -> i32 {
        requantize(requant, sum, bias)
    }

    #[inline(always)]
    fn saturate_byte(value: i32) -> i8 {
        saturate_byte(value)
    }
}

const _: () = assert!(BLOCK.is_multiple_of(2) && BLOCK / GROUP == 15);

/// Bytes without a sign, those of the four samples of a column side by side.
fn interleave(bytes: &[i8], columns: usize, words: &mut [u32]) {
    let mut samples = bytes.chunks_exact(columns.max(1));
    let [Some(a), Some(b), Some(c), Some(d)] = core::array::from_fn(|_| samples.next()) else {
        return;
    };
    for ((((word, &a), &b), &c), &d) in words.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        *word = u32::from_le_bytes([a as u8, b as u8, c as u8, d as u8]) ^ 0x8080_8080;
    }
}

/// [`NarrowRequant::apply`]: a shift by a register takes its lowest byte. The last bit that it shifts out stands in the
/// carry, so adding it is rounding to nearest.
#[inline(always)]
fn requantize(requant: NarrowRequant, sum: i32, bias: i16) -> i32 {
    let [offset, rest] = bytemuck::must_cast::<NarrowRequant, [u32; 2]>(requant);
    let out;
    // SAFETY: the instructions read and write the registers that are named, and the flags.
    unsafe {
        asm!(
            "lsrs {t}, {rest}, #16",
            "asrs {sum}, {t}",
            "adds {sum}, {bias}",
            "bvc 2f",
            // What has left 32 bits has the wrong sign; only the sign counts now.
            "mvns {sum}, {sum}",
            "2:",
            "sxth {t}, {sum}",
            "cmp {t}, {sum}",
            "beq 3f",
            "asrs {sum}, {sum}, #31",
            "movs {t}, #255",
            "lsls {t}, {t}, #7",
            "adds {t}, #127",
            "eors {sum}, {t}",
            "3:",
            "sxth {t}, {rest}",
            "muls {sum}, {t}",
            "lsrs {rest}, {rest}, #24",
            "asrs {sum}, {rest}",
            "movs {rest}, #0",
            "adcs {sum}, {rest}",
            sum = inout(reg) sum.wrapping_add(offset as i32) => out,
            rest = inout(reg) rest => _,
            bias = in(reg) i32::from(bias),
            t = out(reg) _,
            options(pure, nomem, nostack),
        );
    }
    out
}

/// The nearest value an `i8` can hold.
#[inline(always)]
fn saturate_byte(value: i32) -> i8 {
    let out: i32;
    // SAFETY: the instructions read and write the registers that are named, and the flags.
    unsafe {
        asm!(
            "sxtb {t}, {value}",
            "cmp {t}, {value}",
            "beq 2f",
            "asrs {value}, {value}, #31",
            "movs {t}, #127",
            "eors {value}, {t}",
            "2:",
            value = inout(reg) value => out,
            t = out(reg) _,
            options(pure, nomem, nostack),
        );
    }
    out as i8
}
