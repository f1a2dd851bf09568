//! Inner products. The portable ones are the reference that every faster one must equal.

pub mod portable;
#[cfg(ancestral_vcvt)]
#[allow(unsafe_code)]
mod vcvt;

/// The value of a `half::f16`, exactly: by the FPU's own instruction where the build script found one, else by
/// [`portable::widen`].
#[inline(always)]
pub fn widen(bits: u16) -> f32 {
    #[cfg(ancestral_vcvt)]
    {
        vcvt::widen(bits)
    }
    #[cfg(not(ancestral_vcvt))]
    {
        portable::widen(bits)
    }
}
