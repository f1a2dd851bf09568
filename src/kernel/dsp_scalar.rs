//! Requantization by the saturating and fractional instructions of Armv7E-M and Armv8-M with the DSP extension.

use crate::fixed::{NarrowRequant, WideRequant};
use core::arch::asm;

// An Armv8-M target does not imply the extension, so the assembler must be told of a core that has it.
#[cfg(ancestral_armv8m)]
macro_rules! core_with_dsp {
    () => {
        ".cpu cortex-m33"
    };
}
#[cfg(not(ancestral_armv8m))]
macro_rules! core_with_dsp {
    () => {
        ""
    };
}
#[cfg(ancestral_kernel = "dsp")]
pub(super) use core_with_dsp;

/// [`NarrowRequant::apply`]: a shift by a register takes its lowest byte, and `smulbb` the low half of the word that
/// the multiplier shares with the shifts, so nothing is unpacked. The last bit that is shifted out stands in the carry,
/// and adding it is rounding to nearest.
#[inline(always)]
pub fn requantize(requant: NarrowRequant, sum: i32, bias: i16) -> i32 {
    let [offset, rest] = bytemuck::must_cast::<NarrowRequant, [u32; 2]>(requant);
    let out;
    // SAFETY: the instructions read and write the registers that are named, and the saturation flag.
    unsafe {
        asm!(
            core_with_dsp!(),
            "add {sum}, {sum}, {offset}",
            "lsr {shift}, {rest}, #16",
            "asr {sum}, {sum}, {shift}",
            "qadd {sum}, {sum}, {bias}",
            "ssat {sum}, #16, {sum}",
            "smulbb {sum}, {sum}, {rest}",
            "lsr {shift}, {rest}, #24",
            "asrs {sum}, {sum}, {shift}",
            "adc {sum}, {sum}, #0",
            sum = inout(reg) sum => out,
            offset = in(reg) offset,
            rest = in(reg) rest,
            bias = in(reg) i32::from(bias),
            shift = out(reg) _,
            options(pure, nomem, nostack),
        );
    }
    out
}

/// The nearest value an `i8` can hold.
#[inline(always)]
pub fn saturate_byte(value: i32) -> i8 {
    let out: i32;
    // SAFETY: reads one register, writes another, and the saturation flag.
    unsafe { asm!("ssat {}, #8, {}", lateout(reg) out, in(reg) value, options(pure, nomem, nostack)) };
    out as i8
}

/// [`WideRequant::apply`], out of line: hardly ever needed, and not small.
#[cold]
#[inline(never)]
fn apply(requant: WideRequant, sum: i32, bias: i16) -> i16 {
    requant.apply(sum, bias)
}

/// [`WideRequant::apply`]: the product's high word alone, where the shift is long enough.
#[cfg_attr(not(ancestral_small), inline(always))]
#[cfg_attr(ancestral_small, inline(never))]
pub fn requantize_wide(requant: WideRequant, sum: i32, bias: i16) -> i16 {
    if requant.shift < 33 {
        return apply(requant, sum, bias);
    }
    let out: i32;
    // SAFETY: the instructions read and write the registers that are named, and the saturation flag.
    unsafe {
        asm!(
            core_with_dsp!(),
            "smmul {sum}, {sum}, {multiplier}",
            "asrs {sum}, {sum}, {shift}",
            "adc {sum}, {sum}, #0",
            "qadd {sum}, {sum}, {bias}",
            "ssat {sum}, #16, {sum}",
            sum = inout(reg) sum => out,
            multiplier = in(reg) requant.multiplier,
            shift = in(reg) requant.shift - 32,
            bias = in(reg) i32::from(bias),
            options(pure, nomem, nostack),
        );
    }
    out as i16
}
