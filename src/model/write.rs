use super::layout::{self, LayerRecord, write_at};
use super::parse::checksum;
use super::row_len;
use crate::format::{Format, RequantKind};
use crate::number::Number;
use crate::schedule::{Prediction, Schedule, ScheduleError, StepConstants, alpha, snr, softplus};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

/// Bytes on the heap that begin at a multiple of 8, as a model's must: what a program reads a file into.
pub struct AlignedBytes {
    words: Box<[u64]>,
    len: usize,
}

impl AlignedBytes {
    /// Copies `bytes`.
    pub fn new(bytes: &[u8]) -> Self {
        let mut words = vec![0u64; bytes.len().div_ceil(8)].into_boxed_slice();
        for (to, from) in bytemuck::cast_slice_mut::<u64, u8>(&mut words).iter_mut().zip(bytes) {
            *to = *from;
        }
        Self {
            words,
            len: bytes.len(),
        }
    }
}

impl core::ops::Deref for AlignedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.words).get(..self.len).unwrap_or(&[])
    }
}

/// One layer to be written.
#[derive(Clone, Debug)]
pub struct LayerSpec<F: Format> {
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub columns: usize,
    /// A rectifier follows the sum.
    pub relu: bool,
    /// The input is added to the output.
    pub residual: bool,
    /// Two 4-bit weights to an entry of `weights`.
    pub packed: bool,
    /// Row-major, `rows` times [`row_len`].
    pub weights: Vec<F::Weight>,
    /// `rows`, or `T × rows` with one row of biases per step.
    pub biases: Vec<F::Bias>,
    /// `rows`, or empty where the format has no requantisation.
    pub requant: Vec<F::Requant>,
}

/// A reverse variance that differs between dimensions; see [`Shape`](crate::shape::Shape).
#[derive(Clone, Debug, PartialEq)]
pub struct VarianceSpec {
    /// `v_td` by the posterior's own variance at step t, `T × D`, positive.
    pub ratios: Vec<f64>,
    /// The basis U, row-major, `D × D`, orthogonal; empty for the identity.
    pub basis: Vec<f64>,
}

/// A model to be written. The tables of the schedule are not part of it: they are computed here from `gamma`, by the one
/// definition in [`schedule`](crate::schedule).
#[derive(Clone, Debug)]
pub struct ModelSpec<F: Format> {
    /// What the network's output estimates.
    pub prediction: Prediction,
    /// Clip x̂ to [−1, 1].
    pub clip: bool,
    /// Levels in 2..=256, or 0 for continuous data.
    pub levels: u16,
    /// `γ_0 ..= γ_T`, increasing.
    pub gamma: Vec<f32>,
    /// Mean per dimension of continuous data; empty for levels.
    pub mean: Vec<f32>,
    /// Scale per dimension of continuous data; empty for levels.
    pub scale: Vec<f32>,
    /// For the tools: what the model was made from. No runtime reads it.
    pub note: alloc::string::String,
    /// For each step, which power of two the unit of hidden activations is divided by there, `T` values up to
    /// [`layout::MAX_EXPONENT`]; empty for none. Integer formats only.
    pub exponents: Vec<u8>,
    /// The reverse variance where it is not the posterior's own.
    pub variance: Option<VarianceSpec>,
    /// Share η of the posterior's noise that a step adds, see [`StepConstants::with_noise`]: 1 for the ancestral sampler. Below 1 the
    /// model draws samples and has no ELBO.
    pub eta: f64,
    /// In order; the first has D columns, the last D rows.
    pub layers: Vec<LayerSpec<F>>,
}

/// Why a specification makes no file.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SpecError {
    /// The list of γ is no schedule.
    Schedule(ScheduleError),
    /// A constant of a step does not fit the number format.
    Constant {
        /// Which step, in 0..=T.
        step: usize,
        /// Its place in the record of eight.
        index: usize,
    },
    /// A standard deviation is so small that its rounding in the number format would falsify the noise, and with it
    /// the ELBO.
    Resolution {
        /// Which step, in 0..=T.
        step: usize,
        /// The deviation asked for.
        deviation: f64,
    },
    /// A standard deviation per dimension does not fit the number format.
    Spread {
        /// Which step, in 1..=T.
        step: usize,
        /// The deviation asked for.
        deviation: f64,
    },
    /// η is not in 0..=1, or it is below 1 where the reverse variance is not the posterior's own.
    Eta {
        /// What it is.
        eta: f64,
    },
    /// A list has the wrong length or a size does not fit the file's 16-bit fields.
    Size {
        /// Of what.
        what: &'static str,
        /// The layer, where it belongs to one.
        layer: Option<usize>,
    },
    /// What was written does not parse: the layers do not fit one another.
    Rejected(super::ModelError),
}

impl core::fmt::Display for SpecError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Schedule(e) => write!(f, "{e}"),
            Self::Constant { step, index } => {
                let names = ["skip", "out", "keep", "pull", "spread", "alpha", "sigma", "reserved"];
                let name = names.get(*index).copied().unwrap_or("?");
                write!(f, "step {step}: the constant `{name}` does not fit the number format")
            }
            Self::Resolution { step, deviation } => write!(
                f,
                "step {step}: the standard deviation {deviation:.2e} is too small for the number format; raise gamma_0, or take \
                 fewer steps or a float format"
            ),
            Self::Spread { step, deviation } => write!(
                f,
                "step {step}: the standard deviation {deviation:.3} of a direction does not fit the number format (below 2); take more \
                 steps, or a float format"
            ),
            Self::Eta { eta } => write!(
                f,
                "eta, the share of the posterior's noise, is {eta}: it must be in 0..=1, and 1 where the reverse variance is another"
            ),
            Self::Size { what, layer: None } => write!(f, "{what} has the wrong length"),
            Self::Size { what, layer: Some(l) } => write!(f, "layer {l}: {what} has the wrong length"),
            Self::Rejected(e) => write!(f, "{e}"),
        }
    }
}

impl core::error::Error for SpecError {}

/// How far the rounding of a standard deviation may move it, as a share of it: 2 % cost about 4·10⁻⁴ nats per dimension
/// and step.
const DEVIATION_TOLERANCE: f64 = 0.02;

impl<F: Format> ModelSpec<F> {
    /// The bytes of the file. They have been parsed back, so what is returned is a valid model.
    pub fn to_bytes(&self) -> Result<Vec<u8>, SpecError> {
        if !(0.0..=1.0).contains(&self.eta) || (self.eta < 1.0 && self.variance.is_some()) {
            return Err(SpecError::Eta { eta: self.eta });
        }
        let schedule = Schedule::new(&self.gamma).map_err(SpecError::Schedule)?;
        let wide: Vec<f64> = self.gamma.iter().map(|&g| f64::from(g)).collect();
        let exact = Schedule::new(&wide).map_err(SpecError::Schedule)?;
        let steps = schedule.steps();
        let dim = self.layers.first().map_or(0, |l| l.columns);
        let width = self.layers.iter().rev().skip(1).map(|l| l.rows).max().unwrap_or(0);

        let mut out = vec![0u8; layout::HEADER_LEN];
        let gamma = section(&mut out, bytemuck::cast_slice(&self.gamma));
        let mut constants = Vec::new();
        let mut weight = Vec::new();
        for t in 0..=steps {
            let ancestral = exact.constants(self.prediction, t).ok_or(size("gamma"))?;
            let real = match wide.get(t.wrapping_sub(1)..=t) {
                Some(&[s, t]) => StepConstants::with_noise(self.prediction, s, t, self.eta),
                _ => ancestral,
            };
            let record = real
                .quantise::<F::Number>()
                .map_err(|index| SpecError::Constant { step: t, index })?;
            for (real, rounded) in [(real.sigma, record.sigma), (real.spread, record.spread)] {
                let held = F::Number::constant_value(rounded);
                if (held - real).abs() > DEVIATION_TOLERANCE * real {
                    return Err(SpecError::Resolution {
                        step: t,
                        deviation: real,
                    });
                }
            }
            constants.push(record.to_array());
            weight.push(exact.weight(t).ok_or(size("gamma"))? as f32);
        }
        let constants = section(&mut out, bytemuck::cast_slice(&constants));
        let weight = section(&mut out, bytemuck::cast_slice(&weight));
        let ends = section(&mut out, bytemuck::bytes_of(&ends(&wide)?));
        let affine = if self.levels == 0 {
            if self.mean.len() != dim || self.scale.len() != dim {
                return Err(size("mean or scale of continuous data"));
            }
            let affine = [self.mean.as_slice(), self.scale.as_slice()].concat();
            section(&mut out, bytemuck::cast_slice(&affine))
        } else {
            0
        };
        let records = self.layer_sections(&mut out, steps)?;
        let layer_table = section(&mut out, &records);
        let exponents = if self.exponents.iter().all(|&e| e == 0) {
            0
        } else if self.exponents.len() != steps || self.exponents.iter().any(|&e| e > layout::MAX_EXPONENT) {
            return Err(size("the list of exponents"));
        } else {
            section(&mut out, &self.exponents)
        };
        let [spreads, nats, basis] = self.variance_sections(&mut out, &exact, dim)?;
        let note = if self.note.is_empty() {
            0
        } else {
            section(&mut out, self.note.as_bytes())
        };
        align(&mut out);
        let file_len = out.len() + layout::CRC_LEN;

        let short = |value: usize, what| u16::try_from(value).map_err(|_| size(what));
        write_at(&mut out, 0, &layout::MAGIC);
        write_at(&mut out, layout::AT_VERSION, &layout::VERSION.to_le_bytes());
        write_at(&mut out, layout::AT_FORMAT, &[F::ID as u8, self.prediction as u8]);
        write_at(&mut out, layout::AT_FILE_LEN, &(file_len as u32).to_le_bytes());
        write_at(&mut out, layout::AT_DIM, &short(dim, "dimensions")?.to_le_bytes());
        write_at(&mut out, layout::AT_STEPS, &short(steps, "gamma")?.to_le_bytes());
        write_at(
            &mut out,
            layout::AT_LAYERS,
            &short(self.layers.len(), "layers")?.to_le_bytes(),
        );
        write_at(
            &mut out,
            layout::AT_WIDTH,
            &short(width, "rows of a layer")?.to_le_bytes(),
        );
        write_at(&mut out, layout::AT_LEVELS, &self.levels.to_le_bytes());
        let flags = flag(self.clip, layout::FLAG_CLIP) | flag(self.eta < 1.0, layout::FLAG_SAMPLES_ONLY);
        write_at(&mut out, layout::AT_FLAGS, &flags.to_le_bytes());
        for (at, offset) in [
            (layout::AT_GAMMA, gamma),
            (layout::AT_CONSTANTS, constants),
            (layout::AT_WEIGHT, weight),
            (layout::AT_ENDS, ends),
            (layout::AT_AFFINE, affine),
            (layout::AT_LAYER_TABLE, layer_table),
            (layout::AT_EXPONENTS, exponents),
            (layout::AT_SPREADS, spreads),
            (layout::AT_NATS, nats),
            (layout::AT_BASIS, basis),
            (layout::AT_NOTE, note),
            (layout::AT_NOTE_LEN, self.note.len() as u32),
        ] {
            write_at(&mut out, at, &offset.to_le_bytes());
        }
        let crc = checksum(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        super::Model::<F>::check(&out).map_err(SpecError::Rejected)?;
        Ok(out)
    }

    /// Offsets of the spreads, of the steps' costs and of the basis.
    fn variance_sections(
        &self,
        out: &mut Vec<u8>,
        exact: &Schedule<'_, f64>,
        dim: usize,
    ) -> Result<[u32; 3], SpecError> {
        let Some(variance) = &self.variance else {
            return Ok([0; 3]);
        };
        if dim == 0 || variance.ratios.len() != exact.steps() * dim {
            return Err(size("the table of variances"));
        }
        if !variance.basis.is_empty() && variance.basis.len() != dim * dim {
            return Err(size("the basis of the variances"));
        }
        let mut spreads = Vec::with_capacity(variance.ratios.len());
        let mut nats = Vec::with_capacity(exact.steps());
        for (step, ratios) in variance.ratios.chunks_exact(dim).enumerate() {
            let t = step + 1;
            let own = exact.posterior(t).ok_or(size("gamma"))?.deviation;
            let mut cost = 0.0;
            for &ratio in ratios {
                let real = own * libm::sqrt(ratio);
                let constant = F::Number::wide_constant(real).ok_or(SpecError::Spread {
                    step: t,
                    deviation: real,
                })?;
                let held = F::Number::constant_value(constant);
                if !(ratio.is_finite() && (held - real).abs() <= DEVIATION_TOLERANCE * real && held > 0.0) {
                    return Err(SpecError::Resolution {
                        step: t,
                        deviation: real,
                    });
                }
                // The cost of the variance as it is held.
                let held = held * held / (own * own);
                cost += 0.5 * (libm::log(held) + 1.0 / held - 1.0);
                spreads.push(constant);
            }
            nats.push(cost as f32);
        }
        let basis: Option<Vec<_>> = variance.basis.iter().map(|&u| F::Number::wide_constant(u)).collect();
        let basis = basis.ok_or(size("the basis of the variances"))?;
        Ok([
            section(out, bytemuck::cast_slice(&spreads)),
            section(out, bytemuck::cast_slice(&nats)),
            if basis.is_empty() {
                0
            } else {
                section(out, bytemuck::cast_slice(&basis))
            },
        ])
    }

    fn layer_sections(&self, out: &mut Vec<u8>, steps: usize) -> Result<Vec<u8>, SpecError> {
        let mut records = Vec::new();
        for (index, layer) in self.layers.iter().enumerate() {
            let wrong = |what| SpecError::Size {
                what,
                layer: Some(index),
            };
            let per_step = steps > 1 && layer.biases.len() == layer.rows * steps;
            if layer.weights.len() != layer.rows * row_len(layer.columns, layer.packed) {
                return Err(wrong("the weight matrix"));
            }
            if !per_step && layer.biases.len() != layer.rows {
                return Err(wrong("the bias table"));
            }
            let requantised = F::REQUANT != RequantKind::None;
            if requantised && layer.requant.len() != layer.rows {
                return Err(wrong("the requantisation table"));
            }
            let record = LayerRecord {
                rows: u16::try_from(layer.rows).map_err(|_| wrong("the list of rows"))?,
                columns: u16::try_from(layer.columns).map_err(|_| wrong("the list of columns"))?,
                flags: flag(layer.relu, layout::LAYER_RELU)
                    | flag(layer.residual, layout::LAYER_RESIDUAL)
                    | flag(per_step, layout::LAYER_PER_STEP)
                    | flag(layer.packed, layout::LAYER_PACKED),
                weights: section(out, bytemuck::cast_slice(&layer.weights)),
                biases: section(out, bytemuck::cast_slice(&layer.biases)),
                requant: if requantised {
                    section(out, bytemuck::cast_slice(&layer.requant))
                } else {
                    0
                },
                ..LayerRecord::default()
            };
            records.extend_from_slice(&record.to_bytes());
        }
        Ok(records)
    }
}

/// 1/α_0, SNR_0, α_T², −ln σ_T².
fn ends(gamma: &[f64]) -> Result<[f32; layout::ENDS_LEN / 4], SpecError> {
    let [first, .., last] = *gamma else {
        return Err(size("gamma"));
    };
    let ends = [
        1.0 / alpha(first),
        snr(first),
        alpha(last) * alpha(last),
        softplus(-last),
    ];
    Ok(ends.map(|v| v as f32))
}

fn size(what: &'static str) -> SpecError {
    SpecError::Size { what, layer: None }
}

fn flag(on: bool, bit: u16) -> u16 {
    if on { bit } else { 0 }
}

fn align(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(layout::ALIGNMENT), 0);
}

/// Appends a section at the next aligned place and gives its offset.
fn section(out: &mut Vec<u8>, bytes: &[u8]) -> u32 {
    align(out);
    let offset = out.len() as u32;
    out.extend_from_slice(bytes);
    offset
}
