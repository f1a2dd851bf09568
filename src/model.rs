//! The model file (`.vdm`): little-endian, versioned, checked by CRC-32, used where it lies.
//!
//! Two ways in, one parser: [`include_model!`](crate::include_model) runs [`Model::parse`]'s checks while the firmware compiles
//! (a bad file does not compile), and [`Model::parse`] runs them on the device or the desktop. Neither copies
//! anything. `docs/model-format.md` specifies every byte.

mod error;
mod include;
pub mod layout;
mod parse;
#[cfg(feature = "alloc")]
mod write;

pub use error::ModelError;
pub use include::{Aligned, StaticModel};
#[doc(hidden)]
pub use include::{peek_dim, peek_width};
pub use parse::Header;
#[cfg(feature = "alloc")]
pub use write::{AlignedBytes, LayerSpec, ModelSpec, SpecError, VarianceSpec};

use crate::decoder::Decoder;
use crate::format::{Format, RequantKind, RowsOf};
use crate::kernel::Matrix;
use crate::number::Number;
use crate::schedule::StepConstants;
use crate::shape::Shape;
use core::marker::PhantomData;

/// A parsed model: a view of the file's bytes in the number format `F`.
#[derive(Clone, Copy)]
pub struct Model<'a, F> {
    bytes: &'a [u8],
    header: Header,
    format: PhantomData<fn() -> F>,
}

/// One layer: `y = activation(W·x + b_t) [+ x]`.
#[derive(Clone, Copy)]
pub struct Layer<'a, F: Format> {
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub columns: usize,
    /// The rectifier follows the sum.
    pub relu: bool,
    /// The input is added to the output, after the rectifier.
    pub residual: bool,
    /// The biases differ per step.
    pub per_step: bool,
    /// Two 4-bit weights to an entry of `weights`.
    pub packed: bool,
    /// Row-major, `rows` times [`row_len`].
    pub weights: &'a [F::Weight],
    /// `rows`, or nothing where the format needs no requantisation.
    pub requant: &'a [F::Requant],
    biases: &'a [F::Bias],
    /// Of the steps, or nothing where all are 0.
    exponents: &'a [u8],
    /// What a step's exponent means for this layer: its outputs, its inputs, or both have the hidden unit.
    exponent_sign: i32,
}

impl<'a, F: Format> Layer<'a, F> {
    /// A layer outside a model, with the same biases at every step.
    ///
    /// * `weights`: `rows` times [`row_len`]; `biases`: `rows`; `requant`: `rows`, or nothing where the format has none.
    pub const fn new(
        (rows, columns): (usize, usize),
        packed: bool,
        weights: &'a [F::Weight],
        requant: &'a [F::Requant],
        biases: &'a [F::Bias],
    ) -> Self {
        Self {
            rows,
            columns,
            relu: true,
            residual: false,
            per_step: false,
            packed,
            weights,
            requant,
            biases,
            exponents: &[],
            exponent_sign: 0,
        }
    }

    /// The rows of the weight matrix, each as it lies in the file.
    pub fn rows(&self) -> core::slice::ChunksExact<'a, F::Weight> {
        self.weights.chunks_exact(row_len(self.columns, self.packed).max(1))
    }

    /// What the rows add to their sums at step `t`.
    pub fn finish(&self, t: usize) -> Finish<'a, F> {
        Finish {
            biases: self.bias(t),
            requant: match F::REQUANT {
                RequantKind::None => NOTHING
                    .get(..self.rows)
                    .and_then(|nothing| bytemuck::try_cast_slice(nothing).ok())
                    .unwrap_or(&[]),
                _ => self.requant,
            },
            exponent: self.exponent(t) * self.exponent_sign,
        }
    }

    /// The step's exponent: hidden activations have the model's unit divided by two to this power.
    fn exponent(&self, t: usize) -> i32 {
        let exponent = self.exponents.get(t.wrapping_sub(1)).copied().unwrap_or(0);
        i32::from(exponent.min(layout::MAX_EXPONENT))
    }

    /// The biases at step `t` in `1..=T`: `rows` values.
    pub fn bias(&self, t: usize) -> &'a [F::Bias] {
        let first = if self.per_step {
            t.wrapping_sub(1).wrapping_mul(self.rows)
        } else {
            0
        };
        self.biases.get(first..).and_then(|b| b.get(..self.rows)).unwrap_or(&[])
    }
}

impl<'a, F: Format<Weight = i8>> Layer<'a, F> {
    /// The weights as the kernels of the integer formats take them.
    pub fn matrix(&self) -> Matrix<'a> {
        Matrix {
            weights: self.weights,
            rows: self.rows,
            columns: self.columns,
            packed: self.packed,
        }
    }
}

/// What turns a layer's sums into its outputs at one step.
pub struct Finish<'a, F: Format> {
    /// One bias a row.
    pub biases: &'a [F::Bias],
    /// One requantisation a row; as many `()` where the format has none.
    pub requant: &'a [F::Requant],
    /// All requantisations' factors are to be multiplied by two to this power.
    pub exponent: i32,
}

impl<F: Format> Finish<'_, F> {
    /// The biases and requantisations of `count` rows from `first` on, if there are so many.
    #[inline(always)]
    pub fn of(&self, first: usize, count: usize) -> Option<RowsOf<'_, F>> {
        Some((
            self.biases.get(first..)?.get(..count)?,
            self.requant.get(first..)?.get(..count)?,
        ))
    }
}

/// As many `()` as a layer has rows at most: what stands for the requantisations where a format has none.
static NOTHING: [(); u16::MAX as usize] = [(); u16::MAX as usize];

/// Entries of a row of weights: `columns`, or half as many, rounded up, where two are packed into one.
pub const fn row_len(columns: usize, packed: bool) -> usize {
    if packed { columns.div_ceil(2) } else { columns }
}

/// The tables of the schedule as the runtime uses them: entry `t` of each for `t` in `0..=T`.
#[derive(Clone, Copy, Debug)]
pub struct StepTable<'a, N: Number> {
    /// `γ_t`.
    pub gamma: &'a [f32],
    /// The constants of step t, see [`StepConstants`].
    pub constants: &'a [[N::Constant; 8]],
    /// The cost in nats of one unit of `‖x − x̂‖²` at step t; 0 at t = 0.
    pub weight: &'a [f32],
    /// The network's own step at each entry, where the table is not the model's; empty where it is. See
    /// [`steps`](crate::steps).
    pub times: &'a [u16],
    /// x̂ is clipped to [−1, 1], the range of the data.
    pub clip: bool,
    /// The reverse variance where it is not the posterior's own.
    pub shape: Option<Shape<'a, N>>,
}

impl<N: Number> StepTable<'_, N> {
    /// T, the number of steps.
    pub fn steps(&self) -> usize {
        self.gamma.len().saturating_sub(1)
    }

    /// The step that the network knows entry `t` by.
    pub fn time(&self, t: usize) -> usize {
        self.times.get(t).map_or(t, |&time| usize::from(time))
    }

    /// Entry `t`, or `None` beyond T.
    pub fn at(&self, t: usize) -> Option<StepConstants<N::Constant>> {
        self.constants.get(t).map(|&a| StepConstants::from_array(a))
    }
}

impl<'a, F: Format> Model<'a, F> {
    /// The header's fields.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Dimensions of the data.
    pub const fn dim(&self) -> usize {
        self.header.dim as usize
    }

    /// T, the number of steps.
    pub const fn steps(&self) -> usize {
        self.header.steps as usize
    }

    /// The widest hidden layer.
    pub const fn width(&self) -> usize {
        self.header.width as usize
    }

    /// Length of the file in bytes.
    pub const fn file_len(&self) -> usize {
        self.header.file_len as usize
    }

    /// What the tools that made the file say about it (`host-train` names the data set there); empty if nothing.
    pub fn note(&self) -> &'a str {
        if self.header.note == 0 {
            return "";
        }
        core::str::from_utf8(self.section(self.header.note, self.header.note_len as usize)).unwrap_or("")
    }

    /// The exponents of the steps, `t − 1` at step t: hidden activations of step t have the model's unit divided by two to
    /// this power. Empty where all are 0.
    pub fn exponents(&self) -> &'a [u8] {
        match self.header.exponents {
            0 => &[],
            offset => self.section(offset, self.steps()),
        }
    }

    /// The constants of step `t` in `0..=T`.
    pub fn constants(&self, t: usize) -> Option<StepConstants<<F::Number as Number>::Constant>> {
        let constants = self.section(self.header.constants, self.steps() + 1);
        constants.get(t).map(|&array| StepConstants::from_array(array))
    }

    /// The step table.
    pub fn step_table(&self) -> StepTable<'a, F::Number> {
        let entries = self.steps() + 1;
        StepTable {
            gamma: self.section(self.header.gamma, entries),
            constants: self.section(self.header.constants, entries),
            weight: self.section(self.header.weight, entries),
            times: &[],
            clip: self.header.clip,
            shape: self.shape(),
        }
    }

    fn shape(&self) -> Option<Shape<'a, F::Number>> {
        let dim = self.dim();
        (self.header.spreads != 0).then(|| Shape {
            spreads: self.section(self.header.spreads, self.steps() * dim),
            basis: match self.header.basis {
                0 => &[],
                offset => self.section(offset, dim * dim),
            },
            nats: self.section(self.header.nats, self.steps()),
        })
    }

    /// The decoder p(x | z_0).
    pub fn decoder(&self) -> Decoder<'a, F::Number> {
        let [inverse_alpha, snr, last_alpha_squared, last_log_variance] = self
            .section::<[f32; 4]>(self.header.ends, 1)
            .first()
            .copied()
            .unwrap_or_default();
        let affine: &[f32] = if self.header.affine == 0 {
            &[]
        } else {
            self.section(self.header.affine, 2 * self.dim())
        };
        let (mean, scale) = affine.split_at_checked(self.dim()).unwrap_or((&[], &[]));
        Decoder {
            levels: self.header.levels,
            inverse_alpha,
            snr,
            last_alpha_squared,
            last_log_variance,
            mean,
            scale,
            number: PhantomData,
        }
    }

    /// The layers, in order.
    pub fn layers(&self) -> impl ExactSizeIterator<Item = Layer<'a, F>> + use<'a, F> {
        let model = *self;
        (0..usize::from(self.header.layers)).map(move |index| model.layer(index))
    }

    fn layer(&self, index: usize) -> Layer<'a, F> {
        let records: &[layout::LayerRecord] = self.section(self.header.layer_table, usize::from(self.header.layers));
        let record = records.get(index).copied().unwrap_or_default();
        let (rows, columns) = (record.rows as usize, record.columns as usize);
        let per_step = record.flags & layout::LAYER_PER_STEP != 0;
        let bias_rows = if per_step { self.steps() * rows } else { rows };
        Layer {
            rows,
            columns,
            relu: record.flags & layout::LAYER_RELU != 0,
            residual: record.flags & layout::LAYER_RESIDUAL != 0,
            per_step,
            packed: record.flags & layout::LAYER_PACKED != 0,
            weights: self.section(
                record.weights,
                rows * row_len(columns, record.flags & layout::LAYER_PACKED != 0),
            ),
            requant: match F::REQUANT {
                RequantKind::None => &[],
                _ => self.section(record.requant, rows),
            },
            biases: self.section(record.biases, bias_rows),
            exponents: self.exponents(),
            exponent_sign: i32::from(index + 1 != usize::from(self.header.layers)) - i32::from(index != 0),
        }
    }

    /// `count` values at `offset`. Parsing has checked the bounds and the alignment of every section, so the
    /// fall-back to an empty slice is never taken; it is here so that no path can panic.
    #[inline(never)]
    fn section<T: bytemuck::AnyBitPattern>(&self, offset: u32, count: usize) -> &'a [T] {
        let offset = offset as usize;
        let length = count.wrapping_mul(size_of::<T>());
        self.bytes
            .get(offset..)
            .and_then(|b| b.get(..length))
            .and_then(|b| bytemuck::try_cast_slice(b).ok())
            .unwrap_or(&[])
    }
}
