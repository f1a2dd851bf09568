//! The number formats, each a type: [`F32`](crate::F32), [`F16`](crate::F16), [`W8A16`](crate::W8A16), [`W8A8`](crate::W8A8),
//! [`W4A8`](crate::W4A8).
//!
//! A format says what a weight, a bias and an activation are, how a layer's sums are made, and how a sum becomes an activation
//! or an output. The sampler, the ELBO and the walk through the layers are written once over [`Format`]. `docs/numerics.md`
//! specifies the arithmetic of each.

use crate::kernel::Pass;
use crate::model::Layer;
use crate::number::Number;
use core::marker::PhantomData;

/// The code of a format in a model file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
#[repr(u8)]
pub enum FormatId {
    /// `f32` weights and activations.
    F32 = 0,
    /// `f16` weights, `f32` activations.
    F16 = 1,
    /// `i8` weights, `i16` activations.
    W8A16 = 2,
    /// `i8` weights, 8-bit activations, 16 bits in and out.
    W8A8 = 3,
    /// 4-bit weights (8-bit ones where a layer says so), 8-bit activations, 16 bits in and out.
    W4A8 = 4,
}

impl FormatId {
    /// Every format of this version, from the most exact to the smallest.
    pub const ALL: &'static [FormatId] = &[Self::F32, Self::F16, Self::W8A16, Self::W8A8, Self::W4A8];

    /// The format with this code.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::F32),
            1 => Some(Self::F16),
            2 => Some(Self::W8A16),
            3 => Some(Self::W8A8),
            4 => Some(Self::W4A8),
            _ => None,
        }
    }

    /// The name in file names, on the command line and in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::W8A16 => "w8a16",
            Self::W8A8 => "w8a8",
            Self::W4A8 => "w4a8",
        }
    }
}

impl core::fmt::Display for FormatId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

/// What stands in a file for each row, between the sum and the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequantKind {
    /// Nothing.
    None,
    /// A [`WideRequant`](crate::fixed::WideRequant).
    Wide,
    /// A [`NarrowRequant`](crate::fixed::NarrowRequant).
    Narrow,
}

/// What goes into a layer: of one sample, or of several, one after the other.
pub enum Input<'a, F: Format> {
    /// The state: the input of the first layer.
    State(&'a [F::Number]),
    /// The activations of the layer before.
    Hidden(&'a [F::Activation]),
}

impl<F: Format> Clone for Input<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F: Format> Copy for Input<'_, F> {}

/// What a row adds to its sum.
pub struct Row<F: Format> {
    /// The bias at this step.
    pub bias: F::Bias,
    /// The requantisation; `()` where there is none.
    pub requant: F::Requant,
}

/// Takes the sums of some rows of one sample: `emit(sample, first row, sums)`.
pub type Emit<'e, S> = dyn FnMut(usize, usize, &[S]) + 'e;

/// One bias and one requantisation for each of some rows.
pub type RowsOf<'a, F> = (&'a [<F as Format>::Bias], &'a [<F as Format>::Requant]);

/// What a pass over a layer of a format may meet.
#[derive(Clone, Copy, Debug)]
pub struct Meets<F, const MANY: bool>(PhantomData<F>);

impl<F: Format, const MANY: bool> Pass for Meets<F, MANY> {
    const BYTES: bool = size_of::<F::Activation>() == 1;
    const NIBBLES: bool = F::PACKS;
    const MANY: bool = MANY;
}

/// A number format of the network.
pub trait Format: Copy + core::fmt::Debug + Send + Sync + 'static {
    /// Its code in a model file.
    const ID: FormatId;
    /// What stands in the file for each row: the kind of [`Self::Requant`].
    const REQUANT: RequantKind;
    /// Whether activations cannot be negative, so that every hidden layer must be rectified.
    const RECTIFIED: bool;
    /// Whether a layer may pack two 4-bit weights into a byte.
    const PACKS: bool;
    /// What states, estimates and the network's output are made of.
    type Number: Number;
    /// What goes from one hidden layer to the next.
    type Activation: bytemuck::Pod + Default + Send + Sync + core::fmt::Debug;
    /// One weight as it lies in the file, or two where the layer is packed.
    type Weight: bytemuck::Pod + Send + Sync + core::fmt::Debug;
    /// One bias.
    type Bias: bytemuck::Pod + Default + Send + Sync + core::fmt::Debug;
    /// What stands in the file for each row; `()` for nothing.
    type Requant: bytemuck::Pod + Default + Send + Sync + core::fmt::Debug;
    /// A sum of products.
    type Sum: Copy;
    /// What a column of a layer's input takes in the kernel's work area: [`kernel::Work`](crate::kernel::Work), or `()`.
    type Work: bytemuck::Pod + Default + Send + Sync + core::fmt::Debug;

    /// The requantisation with its factor times `2^exponent`: what a step's unit of hidden activations changes in the first and
    /// the last layer. Formats without requantisation have none.
    fn scaled(requant: Self::Requant, exponent: i32) -> Self::Requant;

    /// The requantisation for sums as the kernels of this core give them: see [`kernel::ORIGIN`](crate::kernel::ORIGIN).
    fn of_kernel(requant: Self::Requant) -> Self::Requant;

    /// Gives `Σ_c weight[row][c]·input[c]` of every row and sample: `emit(sample, row, sums)` hands over those of some
    /// rows of one sample, `row` and the following. Of 8-bit activations
    /// it is `Σ_c weight[row][c]·(a[c] − 128 + ORIGIN)`, see [`kernel::ORIGIN`](crate::kernel::ORIGIN).
    ///
    /// * `MANY`: there may be several samples;
    /// * `input`: `columns` values a sample;
    /// * `work`: overwritten; a [`Work`](Self::Work) for each value of the input. With less it takes longer.
    fn sums<const MANY: bool>(
        layer: &Layer<'_, Self>,
        input: Input<'_, Self>,
        work: &mut [u32],
        emit: &mut Emit<'_, Self::Sum>,
    );

    /// From a sum to a hidden layer's activation: the bias, the requantisation, the rectifier if `relu`, then the addition of
    /// the residual layer's input, `skip`.
    fn activate(row: Row<Self>, sum: Self::Sum, relu: bool, skip: Option<Self::Activation>) -> Self::Activation;

    /// [`activate`](Self::activate) for as many rows as a kernel does at once; returns how many it did, from the first on.
    ///
    /// * `before`: what a residual layer adds, or nothing.
    #[inline(always)]
    fn activate_many(
        rows: RowsOf<'_, Self>,
        sums: &[Self::Sum],
        before: Option<&[Self::Activation]>,
        output: &mut [Self::Activation],
    ) -> usize {
        let _ = (rows, sums, before, output);
        0
    }

    /// From a sum to the network's output.
    fn output(row: Row<Self>, sum: Self::Sum) -> Self::Number;
}
