//! The trait that every number format implements, and the types it speaks in.

use super::id::FormatId;
use crate::kernel::{Emit, KernelCaps, Matrix};
use crate::number::Number;
use core::marker::PhantomData;

/// Kind of the entry that a file holds for each row, between the sum and the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequantKind {
    /// No entry.
    None,
    /// A [`WideRequant`](crate::fixed::WideRequant).
    Wide,
    /// A [`NarrowRequant`](crate::fixed::NarrowRequant).
    Narrow,
}

/// Input of a layer: of one sample, or of several, one after the other.
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

/// Bias and requantization that finish the sum of one row.
pub struct RowFinish<F: Format> {
    /// The bias at this step.
    pub bias: F::Bias,
    /// The requantization; `()` if the format has none.
    pub requant: F::Requant,
}

/// One bias and one requantization for each of some rows.
pub type RowFinishes<'a, F> = (&'a [<F as Format>::Bias], &'a [<F as Format>::Requant]);

/// Capabilities that a format needs of a kernel.
#[derive(Clone, Copy, Debug)]
pub struct FormatCaps<F, const MANY: bool>(PhantomData<F>);

impl<F: Format, const MANY: bool> KernelCaps for FormatCaps<F, MANY> {
    const BYTES: bool = size_of::<F::Activation>() == 1;
    const NIBBLES: bool = F::PACKS;
    const MANY: bool = MANY;
}

/// A number format of the network.
pub trait Format: Copy + core::fmt::Debug + Send + Sync + 'static {
    /// Code in a model file.
    const ID: FormatId;
    /// Kind of [`Self::Requant`].
    const REQUANT: RequantKind;
    /// Activations cannot be negative, so every hidden layer must be rectified.
    const RECTIFIED: bool;
    /// A layer may pack two 4-bit weights into a byte.
    const PACKS: bool;
    /// Number type of states, estimates and the network's output.
    type Number: Number;
    /// Value that passes from one hidden layer to the next.
    type Activation: bytemuck::Pod + Default + Send + Sync + core::fmt::Debug;
    /// One weight as it lies in the file, or two if the layer is packed.
    type Weight: bytemuck::Pod + Send + Sync + core::fmt::Debug;
    /// One bias.
    type Bias: bytemuck::Pod + Default + Send + Sync + core::fmt::Debug;
    /// Entry of a row in the file; `()` for none.
    type Requant: bytemuck::Pod + Default + Send + Sync + core::fmt::Debug;
    /// A sum of products.
    type Sum: Copy;
    /// Entry of the kernel's work area per column of a layer's input: [`kernel::Work`](crate::kernel::Work), or `()`.
    type Work: bytemuck::Pod + Default + Send + Sync + core::fmt::Debug;

    /// Returns the requantization with its factor times `2^exponent`: how a step's unit of hidden activations changes
    /// the first and the last layer. Formats without requantization return `()`.
    fn scaled(requant: Self::Requant, exponent: i32) -> Self::Requant;

    /// Returns the requantization for sums as this build's kernel gives them, see
    /// [`kernel::ZERO_POINT`](crate::kernel::ZERO_POINT).
    fn for_kernel(requant: Self::Requant) -> Self::Requant;

    /// Computes `Σ_c weight[row][c]·input[c]` of every row and sample: `emit(sample, row, sums)` receives those of some
    /// rows of one sample, from `row` on. For 8-bit activations it is `Σ_c weight[row][c]·(a[c] − 128 + ZERO_POINT)`,
    /// see [`kernel::ZERO_POINT`](crate::kernel::ZERO_POINT).
    ///
    /// * `MANY`: there may be several samples;
    /// * `input`: `columns` values per sample;
    /// * `work`: overwritten; one [`Work`](Self::Work) for each value of the input. With less it takes longer.
    fn sums<const MANY: bool>(
        matrix: &Matrix<'_, Self::Weight>,
        input: Input<'_, Self>,
        work: &mut [u32],
        emit: &mut Emit<'_, Self::Sum>,
    );

    /// Turns a sum into a hidden layer's activation: adds the bias, requantizes, rectifies if `relu`, then adds `skip`,
    /// the input of a residual layer.
    fn activate(row: RowFinish<Self>, sum: Self::Sum, relu: bool, skip: Option<Self::Activation>) -> Self::Activation;

    /// [`activate`](Self::activate) for as many rows as a kernel does at once. Returns how many it did, from the first
    /// on.
    ///
    /// * `before`: what a residual layer adds, or nothing.
    #[inline(always)]
    fn activate_many(
        rows: RowFinishes<'_, Self>,
        sums: &[Self::Sum],
        before: Option<&[Self::Activation]>,
        output: &mut [Self::Activation],
    ) -> usize {
        let _ = (rows, sums, before, output);
        0
    }

    /// Turns a sum into an output of the network.
    fn output(row: RowFinish<Self>, sum: Self::Sum) -> Self::Number;
}
