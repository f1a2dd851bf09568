//! Conversion from half to single precision by the FPU of Cortex-M4F, M7 and M33.

/// Widens by `vcvtb.f32.f16`: one cycle instead of a dozen integer instructions.
#[inline(always)]
pub fn widen(bits: u16) -> f32 {
    let out: u32;
    // SAFETY: the three instructions read one core register, write another, and change nothing but s0, which is
    // declared. The build script sets `ancestral_vcvt` for targets whose FPU has the instruction. The `sreg` class
    // would spare the moves, but the compiler refuses it for FPUs of single precision.
    unsafe {
        core::arch::asm!(
            "vmov s0, {half}",
            "vcvtb.f32.f16 s0, s0",
            "vmov {single}, s0",
            half = in(reg) u32::from(bits),
            single = lateout(reg) out,
            out("s0") _,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    f32::from_bits(out)
}
