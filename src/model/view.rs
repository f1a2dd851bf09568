//! A parsed model: accessors to the sections of its file.

use super::error::ModelError;
use super::header::Header;
use super::layer::Layer;
use super::layout::{self, EndPoints, LayerRecord, Section};
use super::table::StepTable;
use crate::decoder::Decoder;
use crate::format::{Format, RequantKind};
use crate::kernel::row_len;
use crate::number::Number;
use crate::read_out::ReadOuts;
use crate::reverse_variance::ReverseVariance;
use crate::schedule::{Prediction, StepConstants};
use core::marker::PhantomData;

/// A parsed model: a view of the file's bytes in the number format `F`.
#[derive(Clone, Copy)]
pub struct Model<'a, F> {
    pub(super) bytes: &'a [u8],
    pub(super) header: Header,
    pub(super) format: PhantomData<fn() -> F>,
}

impl<'a, F: Format> Model<'a, F> {
    /// The header's fields.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Number of dimensions of the data.
    pub const fn dim(&self) -> usize {
        self.header.dim as usize
    }

    /// T, the number of steps.
    pub const fn steps(&self) -> usize {
        self.header.steps as usize
    }

    /// Number of times that a whole sample or ELBO runs the network: T, and one more with the network decoder.
    pub const fn calls(&self) -> usize {
        self.header.calls()
    }

    /// Width of the widest hidden layer.
    pub const fn width(&self) -> usize {
        self.header.width as usize
    }

    /// Length of the file in bytes.
    pub const fn file_len(&self) -> usize {
        self.header.file_len as usize
    }

    /// Checks that buffers for `dim` dimensions and `width` activations are large enough.
    ///
    /// # Errors
    ///
    /// [`ModelError::Capacity`] if they are not.
    pub const fn fits(&self, dim: usize, width: usize) -> Result<(), ModelError> {
        if self.dim() > dim || self.width() > width {
            return Err(ModelError::Capacity {
                dim: self.header.dim,
                width: self.header.width,
            });
        }
        Ok(())
    }

    /// Note of the tools that made the file (`host-train` names the data set there); empty if there is none.
    pub fn note(&self) -> &'a str {
        core::str::from_utf8(self.section(Section::Note)).unwrap_or("")
    }

    /// Exponents of the steps, entry `t − 1` at step t, or entry t if the decoder is the network: hidden activations of
    /// step t have the model's unit divided by two to this power. Empty if all are 0.
    pub fn exponents(&self) -> &'a [u8] {
        self.section(Section::Exponents)
    }

    /// Returns the constants of step `t` in `0..=T`.
    pub fn constants(&self, t: usize) -> Option<StepConstants<<F::Number as Number>::Constant>> {
        let constants = self.section(Section::Constants);
        constants.get(t).map(|&array| StepConstants::from_array(array))
    }

    /// The step table.
    pub fn step_table(&self) -> StepTable<'a, F::Number> {
        StepTable {
            gamma: self.section(Section::Gamma),
            constants: self.section(Section::Constants),
            weight: self.section(Section::Weight),
            times: &[],
            read_outs: self.read_outs(),
            reverse_variance: self.reverse_variance(),
        }
    }

    /// The read-outs of the steps.
    pub fn read_outs(&self) -> ReadOuts<'a> {
        match self.header.prediction {
            Prediction::Odds { .. } => ReadOuts::Levels {
                index: self.section(Section::ReadOutIndex),
                words: self.section(Section::ReadOutTables),
            },
            _ if self.header.clip => ReadOuts::Clip,
            _ => ReadOuts::Identity,
        }
    }

    fn reverse_variance(&self) -> Option<ReverseVariance<'a, F::Number>> {
        self.header.has(Section::Spreads).then(|| ReverseVariance {
            spreads: self.section(Section::Spreads),
            basis: self.section(Section::Basis),
            nats: self.section(Section::Nats),
        })
    }

    /// The decoder p(x | z_0).
    pub fn decoder(&self) -> Decoder<'a, F::Number> {
        let EndPoints {
            center_scale,
            snr,
            last_alpha_squared,
            last_log_variance,
            decoder_nats,
            ..
        } = self.section(Section::EndPoints).first().copied().unwrap_or_default();
        let affine: &[f32] = self.section(Section::Affine);
        let (mean, scale) = affine.split_at_checked(self.dim()).unwrap_or((&[], &[]));
        Decoder {
            levels: self.header.levels,
            network: self.header.network_decoder,
            center_scale,
            snr,
            last_alpha_squared,
            last_log_variance,
            mean,
            scale,
            draw: self.section(Section::LevelDraw).first().copied().unwrap_or_default(),
            deviations: self.section(Section::Deviations),
            basis: self.section(Section::Basis),
            nats: decoder_nats,
            number: PhantomData,
        }
    }

    /// The layers, in order.
    pub fn layers(&self) -> impl ExactSizeIterator<Item = Layer<'a, F>> + use<'a, F> {
        let model = *self;
        (0..usize::from(self.header.layers)).map(move |index| model.layer(index))
    }

    fn layer(&self, index: usize) -> Layer<'a, F> {
        let records: &[LayerRecord] = self.section(Section::LayerTable);
        let record = records.get(index).copied().unwrap_or_default();
        let (rows, columns) = (record.rows as usize, record.columns as usize);
        let per_step = record.flags & layout::LAYER_PER_STEP != 0;
        let packed = record.flags & layout::LAYER_PACKED != 0;
        let bias_rows = if per_step { self.calls() * rows } else { rows };
        Layer {
            rows,
            columns,
            relu: record.flags & layout::LAYER_RELU != 0,
            residual: record.flags & layout::LAYER_RESIDUAL != 0,
            per_step,
            packed,
            weights: self.slice(record.weights, rows * row_len(columns, packed) * size_of::<F::Weight>()),
            requant: match F::REQUANT {
                RequantKind::None => &[],
                _ => self.slice(record.requant, rows * size_of::<F::Requant>()),
            },
            biases: self.slice(record.biases, bias_rows * size_of::<F::Bias>()),
            exponents: self.exponents(),
            first_call: self.header.first_call(),
            exponent_sign: i32::from(index + 1 != usize::from(self.header.layers)) - i32::from(index != 0),
        }
    }

    /// Returns the entries of a section; none if it is absent.
    #[inline(always)]
    fn section<T: bytemuck::AnyBitPattern>(&self, section: Section) -> &'a [T] {
        let row = section.row();
        if !row.required && !self.header.has(section) {
            return &[];
        }
        let constant = size_of::<<F::Number as Number>::Constant>();
        let [first, second, entry] = self.header.length_factors(row, constant);
        let count = (first as usize).wrapping_mul(second as usize);
        self.slice(self.header.offset(section), count.wrapping_mul(entry as usize))
    }

    /// Returns `length` bytes at `offset` as values. Parsing has checked the bounds and the alignment of every section,
    /// so the empty slice is never returned in place of one; it is there so that no path can panic.
    #[inline(never)]
    fn slice<T: bytemuck::AnyBitPattern>(&self, offset: u32, length: usize) -> &'a [T] {
        self.bytes
            .get(offset as usize..)
            .and_then(|b| b.get(..length))
            .and_then(|b| bytemuck::try_cast_slice(b).ok())
            .unwrap_or(&[])
    }
}
