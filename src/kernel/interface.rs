//! The trait that every kernel implements, and the sizes that kernels share.

use super::caps::KernelCaps;
use super::inputs::Inputs;
use super::matrix::Matrix;
use crate::fixed::{NarrowRequant, WideRequant};

/// Receives the sums of some rows of one sample: `emit(sample, first row, sums)`.
pub type Emit<'e, S> = dyn FnMut(usize, usize, &[S]) + 'e;

/// The compiler was asked for small code rather than fast code (opt-level `s` or `z`).
pub const SMALL: bool = cfg!(ancestral_small);

/// Bytes per column in the work area of a kernel that has one.
pub const WORK_BYTES: usize = 2;

/// Number of samples that share a pass over the weights.
pub const GROUP: usize = 4;

/// Number of sums in a block; the build script has it from the row of this build's kernel.
pub const BLOCK: usize = include!(concat!(env!("OUT_DIR"), "/block.rs"));

/// Largest number of rows in a block: [`BLOCK`] sums are divided among the samples. Not a division, which some cores
/// lack.
#[inline(always)]
pub const fn block_rows(samples: usize) -> usize {
    if samples == 1 { BLOCK } else { BLOCK / GROUP }
}

/// Operations that a core may specialize.
pub trait Kernel {
    /// Name for people.
    const NAME: &'static str;
    /// Zero point of 8-bit activations in this kernel: 0 if it multiplies the stored bytes (the value less 128), 128 if
    /// it multiplies the unsigned value.
    const ZERO_POINT: i32;
    /// Inputs of one or of [`GROUP`] samples in the order in which this kernel multiplies.
    type Prepared<'w>;
    /// Entry of the work area per column: two bytes, or `()` if the kernel takes inputs as they are.
    type Work: bytemuck::Pod + Default + Send + Sync + core::fmt::Debug;

    /// Number of samples that share a pass over a matrix of this shape, if there are as many: [`GROUP`], or 1.
    fn samples<P: KernelCaps>(_matrix: &Matrix<'_>, _inputs: Inputs<'_>) -> usize {
        GROUP
    }

    /// Brings inputs into the kernel's order, in `work`. Returns `None` if the kernel does not take matrices of this
    /// shape or `work` is too small: the portable kernel then takes over.
    ///
    /// * `inputs`: `columns` values per sample.
    fn prepare<'w, P: KernelCaps>(
        matrix: &Matrix<'_>,
        inputs: Inputs<'w>,
        samples: usize,
        work: &'w mut [u32],
    ) -> Option<Self::Prepared<'w>>;

    /// Computes the sums of `count` rows: those of sample s begin at `sums[s · block_rows(samples)]`, see
    /// [`block_rows`].
    ///
    /// * `weights`: those of the rows.
    fn block<P: KernelCaps>(
        matrix: &Matrix<'_>,
        prepared: &Self::Prepared<'_>,
        weights: &[i8],
        count: usize,
        samples: usize,
        sums: &mut [i32; BLOCK],
    );

    /// [`NarrowRequant::apply`].
    #[inline(always)]
    fn requantize(requant: NarrowRequant, sum: i32, bias: i16) -> i32 {
        requant.apply(sum, bias)
    }

    /// [`WideRequant::apply`].
    #[inline(always)]
    fn requantize_wide(requant: WideRequant, sum: i32, bias: i16) -> i16 {
        requant.apply(sum, bias)
    }

    /// The nearest value an `i8` can hold.
    #[inline(always)]
    fn saturate_byte(value: i32) -> i8 {
        value.clamp(i32::from(i8::MIN), i32::from(i8::MAX)) as i8
    }

    /// Makes stored 8-bit activations from the sums of as many rows as the kernel does at once. Returns how many rows
    /// it did, from the first on; the rest is the caller's.
    ///
    /// * `before`: what a residual layer adds, or nothing;
    /// * all others have as many entries as there are sums.
    #[inline(always)]
    fn activate(
        sums: &[i32],
        requant: &[NarrowRequant],
        biases: &[i16],
        before: Option<&[i8]>,
        output: &mut [i8],
    ) -> usize {
        let _ = (sums, requant, biases, before, output);
        0
    }
}
