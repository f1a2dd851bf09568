//! Sums of products: the time of a denoiser.
//!
//! A layer's sums are made in blocks of rows, of one sample or of [`GROUP`] samples that share one pass over the weights. The
//! [`portable`] kernel is safe Rust and the reference; the build script picks one that knows the core ([`NAME`] says which), and every
//! kernel gives the same bits, because sums of integers do not depend on their order. A kernel first brings the input into the order in which it
//! multiplies ([`Kernel::prepare`]), once per layer, so that the weights lie in the model file as any reader expects them.
//!
//! | kernel | cores | how |
//! |---|---|---|
//! | `portable` | any | safe Rust |
//! | `desktop` | x86-64, with the feature `std` | the portable loops, compiled for AVX2 too and chosen while the program runs |
//! | `dsp` | Cortex-M4, M7, M33: Armv7E-M, Armv8-M with the DSP extension | `smlad`, two products an instruction; three rows share an input |
//! | `helium` | Cortex-M55, M85 | sixteen products an instruction; activations four at a time |
//! | `armv6m` | Cortex-M0, M0+, M1, M23 | bytes by shifts for two rows; two nibbles a multiplication |
//! | `rv32im` | RISC-V of 32 bits with a multiplier | four rows share an input; two nibbles a multiplication |
//!
//! The features `kernel-portable` and so on overrule the build script. A Cortex-M33 without the DSP extension needs `kernel-portable`, and
//! a Cortex-M55 `kernel-helium` or `-C target-cpu=cortex-m55`, because their target does not tell them from others. Rows whose length a
//! kernel does not take (`dsp`: multiples of 8 columns; `armv6m`: of 4 bytes or 16 nibbles; `rv32im`: of 8 or 16; `helium`: of 32
//! nibbles) are left to the portable one, for the same sums in more time.

use crate::fixed::{NarrowRequant, WideRequant};
use crate::format::Emit;

pub mod portable;
#[cfg(ancestral_vcvt)]
#[allow(unsafe_code)]
mod vcvt;

#[cfg(any(ancestral_kernel = "armv6m", ancestral_kernel = "rv32im"))]
mod swar;

#[cfg(ancestral_kernel = "rv32im")]
#[allow(unsafe_code)]
mod rv32im;
#[cfg(ancestral_kernel = "rv32im")]
pub use rv32im::Rv32im as Active;

#[cfg(ancestral_kernel = "armv6m")]
#[allow(unsafe_code)]
mod armv6m;
#[cfg(ancestral_kernel = "armv6m")]
pub use armv6m::Armv6m as Active;
#[cfg(any(ancestral_kernel = "dsp", ancestral_kernel = "helium"))]
#[allow(unsafe_code)]
mod dsp_scalar;
#[cfg(ancestral_kernel = "helium")]
#[allow(unsafe_code)]
mod helium;
#[cfg(ancestral_kernel = "helium")]
pub use helium::Helium as Active;
#[cfg(ancestral_kernel = "dsp")]
#[allow(unsafe_code)]
mod dsp;
#[cfg(ancestral_kernel = "dsp")]
pub use dsp::Dsp as Active;
#[cfg(ancestral_kernel = "portable")]
pub use portable::Portable as Active;
#[cfg(ancestral_kernel = "desktop")]
#[allow(unsafe_code)]
mod desktop;
#[cfg(ancestral_kernel = "desktop")]
pub use desktop::Desktop as Active;

/// The kernel of this build.
pub const NAME: &str = Active::NAME;

/// What stands for 0 in an 8-bit activation as [`sums`] multiplies it: 0, and the sums are of the bytes as they are stored (the value less
/// 128), or 128, and they are of the values themselves.
pub const ORIGIN: i32 = Active::ORIGIN;

/// What a kernel's work area has for each column of an input: two bytes, or nothing where it takes inputs as they are.
#[cfg(any(ancestral_kernel = "portable", ancestral_kernel = "desktop"))]
pub type Work = ();
/// What a kernel's work area has for each column of an input: two bytes, or nothing where it takes inputs as they are.
#[cfg(not(any(ancestral_kernel = "portable", ancestral_kernel = "desktop")))]
pub type Work = i16;

/// The compiler was asked for small code rather than fast (opt-level `s` or `z`).
pub const SMALL: bool = cfg!(ancestral_small);

/// What a work area has for each column where there is one, in bytes: two.
pub const WORK_BYTES: usize = 2;

/// So many samples share one pass over the weights.
pub const GROUP: usize = 4;

/// How many sums a block has: a number of rows that each kernel's loops divide, and no more stack than they are worth.
pub const BLOCK: usize = if cfg!(ancestral_kernel = "helium") {
    128
} else if cfg!(ancestral_kernel = "dsp") && SMALL {
    24
} else {
    60
};

/// A block's sums. Aligned as the sampler's buffers are: one function then clears both.
#[repr(align(8))]
struct Sums([i32; BLOCK]);

/// How many rows a block has at most: [`BLOCK`] sums are shared out among the samples. Not a division, which some cores have not.
#[inline(always)]
pub const fn block_rows(samples: usize) -> usize {
    if samples == 1 { BLOCK } else { BLOCK / GROUP }
}

/// A matrix of weights as it lies in the model file.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// Row-major; two 4-bit weights to a byte where it is packed.
    pub weights: &'a [i8],
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub columns: usize,
    /// Two 4-bit weights to a byte, the even column's in the low half; an odd row has an empty half byte at its end.
    pub packed: bool,
}

impl<'a> Matrix<'a> {
    /// Bytes of a row.
    #[inline(always)]
    pub const fn stride(&self) -> usize {
        crate::model::row_len(self.columns, self.packed)
    }

    /// Whether it is packed, in a pass that may meet such a one.
    #[inline(always)]
    const fn packs<P: Pass>(&self) -> bool {
        P::NIBBLES && self.packed
    }

    /// `count` rows from `first` on, or nothing where there are not so many.
    #[inline(always)]
    fn block(&self, first: usize, count: usize) -> &'a [i8] {
        let stride = self.stride();
        self.weights
            .get(first.wrapping_mul(stride)..)
            .and_then(|weights| weights.get(..count.wrapping_mul(stride)))
            .unwrap_or(&[])
    }
}

/// The inputs of a layer, of one sample or of several, one after the other.
#[derive(Clone, Copy, Debug)]
pub enum Inputs<'a> {
    /// 8-bit activations, each less 128.
    Bytes(&'a [i8]),
    /// Values of 16 bits.
    Halves(&'a [i16]),
}

impl<'a> Inputs<'a> {
    /// How many values there are, of all samples.
    #[inline(always)]
    pub const fn len(&self) -> usize {
        match self {
            Self::Bytes(values) => values.len(),
            Self::Halves(values) => values.len(),
        }
    }

    /// Whether there are none.
    #[inline(always)]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, in a pass that may meet some; else the other values, or nothing.
    #[inline(always)]
    fn of<P: Pass>(self) -> (bool, &'a [i8], &'a [i16]) {
        match self {
            Self::Bytes(bytes) if P::BYTES => (true, bytes, &[]),
            Self::Bytes(_) => (false, &[], &[]),
            Self::Halves(halves) => (false, &[], halves),
        }
    }

    /// `count` values from `first` on, if there are so many.
    #[inline(always)]
    fn part<P: Pass>(self, first: usize, count: usize) -> Option<Self> {
        match self.of::<P>() {
            (true, bytes, _) => bytes.get(first..)?.get(..count).map(Self::Bytes),
            (false, _, halves) => halves.get(first..)?.get(..count).map(Self::Halves),
        }
    }
}

/// What a pass over a matrix may meet: code for anything else is not compiled, so that a firmware has in flash what its format needs.
pub trait Pass {
    /// Inputs of 8 bits.
    const BYTES: bool;
    /// Packed weights.
    const NIBBLES: bool;
    /// Several samples.
    const MANY: bool;
}

/// A pass that may meet everything.
#[derive(Clone, Copy, Debug)]
pub struct Anything;

impl Pass for Anything {
    const BYTES: bool = true;
    const NIBBLES: bool = true;
    const MANY: bool = true;
}

/// What a core does its own way.
pub trait Kernel {
    /// What a person calls it.
    const NAME: &'static str;
    /// See [`ORIGIN`].
    const ORIGIN: i32;
    /// The inputs of one or of [`GROUP`] samples in the order in which this kernel multiplies.
    type Prepared<'w>;

    /// How many samples share a pass over a matrix of this shape, if there are so many: [`GROUP`], or 1.
    fn samples<P: Pass>(_matrix: &Matrix<'_>, _inputs: Inputs<'_>) -> usize {
        GROUP
    }

    /// Brings inputs into that order, in `work`. `None` where this kernel does not take matrices of this shape, or `work` is too small:
    /// the portable one then does it.
    ///
    /// * `inputs`: `columns` values a sample.
    fn prepare<'w, P: Pass>(
        matrix: &Matrix<'_>,
        inputs: Inputs<'w>,
        samples: usize,
        work: &'w mut [u32],
    ) -> Option<Self::Prepared<'w>>;

    /// The sums of `count` rows: of sample s they begin at `sums[s · block_rows(samples)]`, see [`block_rows`].
    ///
    /// * `weights`: of those rows.
    fn block<P: Pass>(
        matrix: &Matrix<'_>,
        prepared: &Self::Prepared<'_>,
        weights: &[i8],
        count: usize,
        samples: usize,
        sums: &mut [i32; BLOCK],
    );
}

/// Whether this build's kernel takes a matrix of this shape with inputs of this type itself and does not leave it to the portable one.
pub fn takes(matrix: &Matrix<'_>, inputs: Inputs<'_>, work: &mut [u32]) -> bool {
    Active::prepare::<Anything>(matrix, inputs, 1, work).is_some()
}

/// Gives the sums `Σ_c weight[row][c]·input[c]` of every row and sample: `emit(sample, row, sums)` hands over those of some
/// rows of one sample, `row` and the following. Of bytes it gives `Σ_c weight[row][c]·(input[c] + ORIGIN)`, see [`ORIGIN`].
///
/// * `inputs`: `columns` values a sample; of the first sample alone where the pass is not for many;
/// * `work`: overwritten; a [`Work`] for each input is enough. With less, the portable kernel does it.
///
/// Every sum must fit 32 bits, which the exporter proves.
// Once for all layers.
#[inline(never)]
pub fn sums<K: Kernel, P: Pass>(matrix: &Matrix<'_>, inputs: Inputs<'_>, work: &mut [u32], emit: &mut Emit<'_, i32>) {
    let columns = matrix.columns.max(1);
    let group = if P::MANY { K::samples::<P>(matrix, inputs) } else { 1 };
    let mut sums = Sums([0; BLOCK]);
    let mut sample = 0;
    loop {
        let first = columns.wrapping_mul(sample);
        let several = P::MANY && inputs.len().saturating_sub(first) / GROUP >= columns;
        let samples = if several { group } else { 1 };
        let Some(now) = inputs.part::<P>(first, columns.wrapping_mul(samples)) else {
            return;
        };
        let prepared = K::prepare::<P>(matrix, now, samples, work);
        let block = block_rows(samples);
        let mut row = 0;
        while row < matrix.rows {
            let count = block.min(matrix.rows - row);
            let weights = matrix.block(row, count);
            match &prepared {
                Some(prepared) => K::block::<P>(matrix, prepared, weights, count, samples, &mut sums.0),
                None => portable::block::<P>(matrix, now, weights, samples, K::ORIGIN, &mut sums.0),
            }
            let mut rest: &[i32] = &sums.0;
            for index in 0..samples {
                let (of_sample, others) = rest.split_at_checked(block).unwrap_or((rest, &[]));
                emit(sample + index, row, of_sample.get(..count).unwrap_or(&[]));
                rest = others;
            }
            row += count;
        }
        sample += samples;
        if !P::MANY {
            return;
        }
    }
}

/// [`NarrowRequant::apply`], in the core's own instructions where that saves some.
#[inline(always)]
pub fn requantise(requant: NarrowRequant, sum: i32, bias: i16) -> i32 {
    #[cfg(any(ancestral_kernel = "dsp", ancestral_kernel = "helium"))]
    {
        dsp_scalar::requantise(requant, sum, bias)
    }
    #[cfg(ancestral_kernel = "armv6m")]
    {
        armv6m::requantise(requant, sum, bias)
    }
    #[cfg(not(any(ancestral_kernel = "dsp", ancestral_kernel = "helium", ancestral_kernel = "armv6m")))]
    {
        requant.apply(sum, bias)
    }
}

/// [`WideRequant::apply`], in the core's own instructions where that saves some.
#[inline(always)]
pub fn requantise_wide(requant: WideRequant, sum: i32, bias: i16) -> i16 {
    #[cfg(any(ancestral_kernel = "dsp", ancestral_kernel = "helium"))]
    {
        dsp_scalar::requantise_wide(requant, sum, bias)
    }
    #[cfg(not(any(ancestral_kernel = "dsp", ancestral_kernel = "helium")))]
    {
        requant.apply(sum, bias)
    }
}

/// Activations of 8 bits, less 128, from the sums of as many rows as the kernel does at once; returns how many it did, from the first on. The rest
/// is the caller's.
///
/// * `before`: what a residual layer adds, or nothing;
/// * all others have as many entries as there are sums.
#[inline(always)]
pub fn activate(
    sums: &[i32],
    requant: &[NarrowRequant],
    biases: &[i16],
    before: Option<&[i8]>,
    output: &mut [i8],
) -> usize {
    #[cfg(ancestral_kernel = "helium")]
    {
        helium::activate(sums, requant, biases, before, output)
    }
    #[cfg(not(ancestral_kernel = "helium"))]
    {
        let _ = (sums, requant, biases, before, output);
        0
    }
}

/// The nearest value an `i8` can hold.
#[inline(always)]
pub fn saturate_byte(value: i32) -> i8 {
    #[cfg(any(ancestral_kernel = "dsp", ancestral_kernel = "helium"))]
    {
        dsp_scalar::saturate_byte(value)
    }
    #[cfg(ancestral_kernel = "armv6m")]
    {
        armv6m::saturate_byte(value)
    }
    #[cfg(not(any(ancestral_kernel = "dsp", ancestral_kernel = "helium", ancestral_kernel = "armv6m")))]
    {
        value.clamp(i32::from(i8::MIN), i32::from(i8::MAX)) as i8
    }
}

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
