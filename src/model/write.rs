//! The writer of model files.

use super::ends::{DEVIATION_TOLERANCE, deviations, end_points, level_draw};
use super::header::checksum;
use super::layout::{self, LayerRecord, SECTION_COUNT, SECTIONS, Section, write_at};
use super::spec::{DecoderSpec, LayerSpec, ModelHead, ModelSpec, SpecError, VarianceSpec};
use super::view::Model;
use crate::format::{Format, RequantKind};
use crate::kernel::row_len;
use crate::number::Number;
use crate::read_out::{ReadOutSpec, build_tables};
use crate::schedule::{Prediction, Schedule, StepConstants};
use alloc::vec;
use alloc::vec::Vec;

/// Remedy for a number beyond 16 bits.
const AT_MOST: &str = "at most 65535 is possible";
/// Remedy for a basis beyond the number format.
const UNIT_COLUMNS: &str = "give it columns of length 1";

impl<F: Format> ModelSpec<F> {
    /// Returns the bytes of the file. They have been parsed back, so they are a valid model.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use ancestral::model::{AlignedBytes, LayerSpec, ModelHead, ModelSpec};
    /// use ancestral::{F32, Model};
    ///
    /// // Two dimensions, three hidden units, four steps.
    /// let layer = |rows, columns, relu| LayerSpec {
    ///     rows,
    ///     columns,
    ///     relu,
    ///     residual: false,
    ///     packed: false,
    ///     weights: vec![0.1; rows * columns],
    ///     biases: vec![0.0; rows],
    ///     requant: Vec::new(),
    /// };
    /// let spec = ModelSpec::<F32> {
    ///     head: ModelHead {
    ///         gamma: vec![-6.0, -3.0, 0.0, 3.0, 6.0],
    ///         levels: 16,
    ///         ..ModelHead::default()
    ///     },
    ///     layers: vec![layer(3, 2, true), layer(2, 3, false)],
    /// };
    /// let bytes = AlignedBytes::new(&spec.to_bytes()?);
    /// assert_eq!(Model::<F32>::parse(&bytes)?.steps(), 4);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`SpecError`] says which part of the specification cannot be written and what to change.
    pub fn to_bytes(&self) -> Result<Vec<u8>, SpecError> {
        let (eta, head) = (self.head.eta, &self.head);
        if !(0.0..=1.0).contains(&eta) || (eta < 1.0 && head.variance.is_some()) {
            return Err(SpecError::Eta { eta });
        }
        head.check_decoder()?;
        Schedule::new(&head.gamma).map_err(SpecError::Schedule)?;
        let gamma: Vec<f64> = head.gamma.iter().map(|&g| f64::from(g)).collect();
        let exact = Schedule::new(&gamma).map_err(SpecError::Schedule)?;
        let mut out = vec![0u8; layout::HEADER_LEN];
        let mut offsets = [0u32; SECTION_COUNT];
        let tables = match head.prediction {
            Prediction::Odds { levels } => {
                let tables = build_tables(levels, &gamma);
                tables.ok_or(SpecError::too_large("the list of read-out tables", "take fewer steps"))?
            }
            _ => ReadOutSpec::default(),
        };
        for (row, offset) in SECTIONS.iter().zip(&mut offsets) {
            let bytes = match row.section {
                Section::ReadOutIndex => bytemuck::cast_slice(&tables.index).to_vec(),
                Section::ReadOutTables => bytemuck::cast_slice(&tables.words).to_vec(),
                section => self.section(section, &exact, &mut out)?,
            };
            if row.required || !bytes.is_empty() {
                *offset = append(&mut out, &bytes);
            }
        }
        align(&mut out);
        self.write_header(&mut out, offsets)?;
        write_at(
            &mut out,
            layout::AT_TABLE_WORDS,
            &(tables.words.len() as u32).to_le_bytes(),
        );
        let crc = checksum(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        Model::<F>::check(&out).map_err(SpecError::Rejected)?;
        Ok(out)
    }

    /// Number of dimensions of the data.
    fn dim(&self) -> usize {
        self.layers.first().map_or(0, |l| l.columns)
    }

    /// Returns the bytes of a section, none if it is absent. For the layer table it first appends to `out` the sections
    /// that the table refers to.
    fn section(&self, section: Section, exact: &Schedule<'_, f64>, out: &mut Vec<u8>) -> Result<Vec<u8>, SpecError> {
        let (head, dim) = (&self.head, self.dim());
        let variance = head.variance.as_ref();
        Ok(match section {
            Section::Gamma => bytemuck::cast_slice(&head.gamma).to_vec(),
            Section::Constants => bytemuck::cast_slice(&step_constants::<F::Number>(head, exact)?).to_vec(),
            Section::Weight => {
                let weights: Option<Vec<f32>> =
                    (0..=exact.steps()).map(|t| exact.weight(t).map(|w| w as f32)).collect();
                bytemuck::cast_slice(&weights.ok_or(SpecError::size("gamma"))?).to_vec()
            }
            Section::EndPoints => bytemuck::bytes_of(&end_points::<F::Number>(head, exact.gamma(), dim)?).to_vec(),
            Section::Affine if head.levels != 0 => Vec::new(),
            Section::Affine if head.mean.len() != dim || head.scale.len() != dim => {
                return Err(SpecError::size("mean or scale of continuous data"));
            }
            Section::Affine => bytemuck::cast_slice(&[head.mean.as_slice(), &head.scale].concat()).to_vec(),
            Section::LayerTable => self.layer_table(out, head.calls())?,
            Section::Exponents if head.exponents.iter().all(|&e| e == 0) => Vec::new(),
            Section::Exponents if head.exponents.len() != head.calls() => {
                return Err(SpecError::size("the list of exponents"));
            }
            Section::Exponents if head.exponents.iter().any(|&e| e > layout::MAX_EXPONENT) => {
                return Err(SpecError::too_large(
                    "an exponent",
                    "lower it, and scale the layers to match",
                ));
            }
            Section::Exponents => head.exponents.clone(),
            Section::Spreads => match variance {
                None => Vec::new(),
                Some(variance) => bytemuck::cast_slice(&spreads::<F::Number>(variance, exact, dim)?.0).to_vec(),
            },
            Section::Nats => match variance {
                None => Vec::new(),
                Some(variance) => bytemuck::cast_slice(&spreads::<F::Number>(variance, exact, dim)?.1).to_vec(),
            },
            Section::Basis => {
                let basis = variance.map_or(&[][..], |variance| &variance.basis);
                let basis: Option<Vec<_>> = basis.iter().map(|&u| F::Number::wide_constant(u)).collect();
                bytemuck::cast_slice(&basis.ok_or(SpecError::too_large("an entry of the basis", UNIT_COLUMNS))?)
                    .to_vec()
            }
            Section::LevelDraw => match (&head.decoder, head.prediction) {
                (DecoderSpec::Network { .. }, Prediction::Odds { levels }) => {
                    bytemuck::bytes_of(&level_draw(levels, exact.gamma())?).to_vec()
                }
                _ => Vec::new(),
            },
            Section::Deviations => bytemuck::cast_slice(&deviations::<F::Number>(head, dim)?).to_vec(),
            // Written by the caller, which has the tables of all steps.
            Section::ReadOutIndex | Section::ReadOutTables => Vec::new(),
            Section::Note => head.note.as_bytes().to_vec(),
        })
    }

    /// Appends weights, biases and requantizations of the layers; returns the table that refers to them.
    fn layer_table(&self, out: &mut Vec<u8>, calls: usize) -> Result<Vec<u8>, SpecError> {
        let mut table = Vec::new();
        for (index, layer) in self.layers.iter().enumerate() {
            let record = layer_record(layer, out, calls).map_err(|error| error.of_layer(index))?;
            table.extend_from_slice(&record.to_bytes());
        }
        Ok(table)
    }

    fn write_header(&self, out: &mut [u8], offsets: [u32; SECTION_COUNT]) -> Result<(), SpecError> {
        let head = &self.head;
        let width = self.layers.iter().rev().skip(1).map(|l| l.rows).max().unwrap_or(0);
        let flags = flag(head.clip, layout::FLAG_CLIP)
            | flag(head.eta < 1.0, layout::FLAG_SAMPLES_ONLY)
            | flag(head.decoder.is_network(), layout::FLAG_NETWORK_DECODER);
        let file_len = (out.len() + layout::CRC_LEN) as u32;
        write_at(out, 0, &layout::MAGIC);
        write_at(out, layout::AT_VERSION, &layout::VERSION.to_le_bytes());
        write_at(out, layout::AT_FORMAT, &[F::ID as u8]);
        write_at(out, layout::AT_PREDICTION, &[head.prediction.code()]);
        write_at(out, layout::AT_FILE_LEN, &file_len.to_le_bytes());
        for (at, value, what) in [
            (layout::AT_DIM, self.dim(), "the number of dimensions"),
            (
                layout::AT_STEPS,
                head.gamma.len().saturating_sub(1),
                "the number of steps",
            ),
            (layout::AT_LAYERS, self.layers.len(), "the number of layers"),
            (layout::AT_WIDTH, width, "the number of rows"),
            (layout::AT_LEVELS, usize::from(head.levels), "the number of levels"),
            (layout::AT_FLAGS, usize::from(flags), "the field of flags"),
        ] {
            let value = u16::try_from(value).map_err(|_| SpecError::too_large(what, AT_MOST))?;
            write_at(out, at, &value.to_le_bytes());
        }
        write_at(out, layout::AT_NOTE_LEN, &(head.note.len() as u32).to_le_bytes());
        for (row, offset) in SECTIONS.iter().zip(offsets) {
            write_at(out, row.at, &offset.to_le_bytes());
        }
        Ok(())
    }
}

/// Returns the constants of every entry of the step table, as the runtime holds them.
fn step_constants<N: Number>(head: &ModelHead, exact: &Schedule<'_, f64>) -> Result<Vec<[N::Constant; 8]>, SpecError> {
    if !(head.gains.is_empty() || head.gains.len() == head.gamma.len()) {
        return Err(SpecError::size("the list of gains"));
    }
    let entry = |t: usize| {
        let mut real = match exact.gamma().get(t.wrapping_sub(1)..=t) {
            Some(&[s, t]) => StepConstants::with_noise(head.prediction, s, t, head.eta),
            _ => exact.constants(head.prediction, t).ok_or(SpecError::size("gamma"))?,
        };
        real.out *= head.gains.get(t).copied().unwrap_or(1.0);
        let record = real
            .quantize::<N>()
            .map_err(|index| SpecError::Constant { step: t, index })?;
        for (real, rounded) in [(real.sigma, record.sigma), (real.spread, record.spread)] {
            let held = N::constant_value(rounded);
            if (held - real).abs() > DEVIATION_TOLERANCE * real {
                return Err(SpecError::Resolution {
                    step: t,
                    deviation: real,
                });
            }
        }
        Ok(record.to_array())
    };
    (0..=exact.steps()).map(entry).collect()
}

/// Returns the standard deviations of the reverse steps as the runtime holds them, and the part of each step's cost
/// that does not depend on the data.
fn spreads<N: Number>(
    variance: &VarianceSpec,
    exact: &Schedule<'_, f64>,
    dim: usize,
) -> Result<(Vec<N::Constant>, Vec<f32>), SpecError> {
    if dim == 0 || variance.ratios.len() != exact.steps() * dim {
        return Err(SpecError::size("the table of variances"));
    }
    if !variance.basis.is_empty() && variance.basis.len() != dim * dim {
        return Err(SpecError::size("the basis of the variances"));
    }
    let mut spreads = Vec::with_capacity(variance.ratios.len());
    let mut nats = Vec::with_capacity(exact.steps());
    for (step, ratios) in variance.ratios.chunks_exact(dim).enumerate() {
        let step = step + 1;
        let own = exact.posterior(step).ok_or(SpecError::size("gamma"))?.deviation;
        let mut cost = 0.0;
        for &ratio in ratios {
            let deviation = own * libm::sqrt(ratio);
            let constant = N::wide_constant(deviation).ok_or(SpecError::Spread { step, deviation })?;
            let held = N::constant_value(constant);
            if !(ratio.is_finite() && (held - deviation).abs() <= DEVIATION_TOLERANCE * deviation && held > 0.0) {
                return Err(SpecError::Resolution { step, deviation });
            }
            // The cost of the variance as it is held.
            let held = held * held / (own * own);
            cost += 0.5 * (libm::log(held) + 1.0 / held - 1.0);
            spreads.push(constant);
        }
        nats.push(cost as f32);
    }
    Ok((spreads, nats))
}

/// Appends the sections of a layer and returns its record. Errors do not yet name the layer.
fn layer_record<F: Format>(layer: &LayerSpec<F>, out: &mut Vec<u8>, calls: usize) -> Result<LayerRecord, SpecError> {
    let per_step = calls > 1 && layer.biases.len() == layer.rows * calls;
    let requantized = F::REQUANT != RequantKind::None;
    if layer.weights.len() != layer.rows * row_len(layer.columns, layer.packed) {
        return Err(SpecError::size("the weight matrix"));
    }
    if !per_step && layer.biases.len() != layer.rows {
        return Err(SpecError::size("the bias table"));
    }
    if requantized && layer.requant.len() != layer.rows {
        return Err(SpecError::size("the requantization table"));
    }
    let narrow = |value: usize, what| u16::try_from(value).map_err(|_| SpecError::too_large(what, AT_MOST));
    Ok(LayerRecord {
        rows: narrow(layer.rows, "the number of rows")?,
        columns: narrow(layer.columns, "the number of columns")?,
        flags: flag(layer.relu, layout::LAYER_RELU)
            | flag(layer.residual, layout::LAYER_RESIDUAL)
            | flag(per_step, layout::LAYER_PER_STEP)
            | flag(layer.packed, layout::LAYER_PACKED),
        weights: append(out, bytemuck::cast_slice(&layer.weights)),
        biases: append(out, bytemuck::cast_slice(&layer.biases)),
        requant: if requantized {
            append(out, bytemuck::cast_slice(&layer.requant))
        } else {
            0
        },
        ..LayerRecord::default()
    })
}

fn flag(on: bool, bit: u16) -> u16 {
    if on { bit } else { 0 }
}

fn align(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(layout::ALIGNMENT), 0);
}

/// Appends a section at the next aligned position and returns its offset.
fn append(out: &mut Vec<u8>, bytes: &[u8]) -> u32 {
    align(out);
    let offset = out.len() as u32;
    out.extend_from_slice(bytes);
    offset
}
