//! Where real numbers become the integers of a file: the one definition, for export and for fine-tuning.

use ancestral::fixed::{NarrowRequant, STATE_ONE, WideRequant};
use ancestral::format::A8;
use ancestral::kernel::portable::pack_rows;
use ancestral::model::{LayerSpec, ModelSpec};
use ancestral::{F32, Format, Q3_12, W4A8, W8A8, W8A16};
use anyhow::{Context, Result, ensure};

/// Unit of the state and of the network's output.
pub const STATE_UNIT: f64 = 1.0 / STATE_ONE as f64;

/// What quantisation needs to know about a format.
pub trait IntegerFormat: Format<Number = Q3_12, Weight = i8, Bias = i16, Sum = i32> {
    /// The largest hidden activation.
    const HIDDEN_MAX: f64;

    /// Adam's rate for fine-tuning: a step of it moves a weight by a small part of its grid's unit. A rate that suits a coarse grid
    /// undoes what calibration did on a fine one.
    const RATE: f64;

    /// Bits of the weights of a layer; `edge`: the first or the last one, which take part in few products and whose errors nobody
    /// corrects.
    fn weight_bits(edge: bool) -> u32;

    /// Whether the unit of hidden activations may differ between steps.
    const EXPONENTS: bool;

    /// Whether biases are added to the (shifted) sum, not to the output: then they have its unit.
    const BIAS_IN_SUM: bool;

    /// The requantisation of a row, and the unit of its biases: in units of the sum, or of the output.
    ///
    /// * `factor`: units of the output in one unit of the sum, at a step with exponent 0;
    /// * `largest_sum`: the largest sum or bias that matters, in units of the sum;
    /// * `weight_sum`: `Σ w` of a row whose inputs are hidden activations, else 0.
    fn requant(factor: f64, largest_sum: f64, weight_sum: i32) -> Option<(Self::Requant, f64)>;

    /// What the requantisation adds to the sum.
    fn offset(requant: Self::Requant) -> i32;

    /// The number that an activation is, in the unit of hidden activations.
    fn value(activation: Self::Activation) -> i32;
}

impl IntegerFormat for W8A16 {
    const HIDDEN_MAX: f64 = i16::MAX as f64;
    const RATE: f64 = 3e-6;
    const EXPONENTS: bool = false;
    const BIAS_IN_SUM: bool = false;

    fn weight_bits(_edge: bool) -> u32 {
        8
    }

    fn requant(factor: f64, _largest_sum: f64, _weight_sum: i32) -> Option<(WideRequant, f64)> {
        Some((WideRequant::from_factor(factor)?, 1.0))
    }

    fn offset(_requant: WideRequant) -> i32 {
        0
    }

    fn value(activation: Q3_12) -> i32 {
        i32::from(activation)
    }
}

/// The first shift leaves as many bits as 16 can hold of the outputs and biases that matter: fewer would round, more would saturate.
fn narrow(factor: f64, largest_sum: f64, weight_sum: i32) -> Option<(NarrowRequant, f64)> {
    if !(factor.is_finite() && factor > 0.0) {
        return None;
    }
    let before = (0u8..=31).find(|&b| largest_sum / f64::from(1u32 << b) <= f64::from(i16::MAX))?;
    let requant = NarrowRequant {
        offset: weight_sum.checked_mul(128)?,
        ..NarrowRequant::from_factor(factor, before)?
    };
    // The steps' exponents must leave the second shift in its range.
    let room = 1 + u32::from(MAX_EXPONENT)..=NarrowRequant::MAX_AFTER - u32::from(MAX_EXPONENT);
    let fits = requant.multiplier == 0 || room.contains(&u32::from(requant.after));
    fits.then_some((requant, f64::from(1u32 << before)))
}

macro_rules! eight_bit_activations {
    ($format:ty, $inner_bits:literal, $rate:literal) => {
        impl IntegerFormat for $format {
            const HIDDEN_MAX: f64 = 255.0;
            const RATE: f64 = $rate;
            const EXPONENTS: bool = true;
            const BIAS_IN_SUM: bool = true;

            fn weight_bits(edge: bool) -> u32 {
                if edge { 8 } else { $inner_bits }
            }

            fn requant(factor: f64, largest_sum: f64, weight_sum: i32) -> Option<(NarrowRequant, f64)> {
                narrow(factor, largest_sum, weight_sum)
            }

            fn offset(requant: NarrowRequant) -> i32 {
                requant.offset
            }

            fn value(activation: A8) -> i32 {
                activation.value()
            }
        }
    };
}

eight_bit_activations!(W8A8, 8, 1e-5);
eight_bit_activations!(W4A8, 4, 5e-5);

/// The largest exponent of a step: a hidden unit an eighth of the largest.
pub const MAX_EXPONENT: u8 = 3;

/// The network in real units, and the units in which it will be rounded.
#[derive(Clone, Debug)]
pub struct Network {
    /// One unit of a hidden activation at a step with exponent 0.
    pub hidden_unit: f64,
    /// For each step, which power of two that unit is divided by; `T` values, or none.
    pub exponents: Vec<u8>,
    /// In order.
    pub layers: Vec<Layer>,
}

/// A layer in real units.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub columns: usize,
    /// Input added to the output.
    pub residual: bool,
    /// Bits of a weight.
    pub bits: u32,
    /// `rows × columns`.
    pub weights: Vec<f64>,
    /// One unit of a row's weights, `rows`.
    pub units: Vec<f64>,
    /// `rows`, or `T × rows`.
    pub biases: Vec<f64>,
}

/// The smallest and the largest weight of so many bits. Eight bits are kept symmetric: −128·−128 twice would not fit the 16-bit
/// pair products of some cores.
pub const fn weight_range(bits: u32) -> (f64, f64) {
    match bits {
        4 => (-8.0, 7.0),
        _ => (-127.0, 127.0),
    }
}

/// The network in integers.
#[derive(Clone, Debug)]
pub struct Quantised<F: IntegerFormat> {
    /// Those of the network.
    pub exponents: Vec<u8>,
    /// In order.
    pub layers: Vec<LayerSpec<F>>,
}

impl Network {
    /// The float network's numbers; each row's unit is such that its largest weight is the largest integer.
    pub fn from_float<F: IntegerFormat>(float: &ModelSpec<F32>) -> Self {
        let last = float.layers.len() - 1;
        let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
        let layers = float.layers.iter().enumerate().map(|(index, layer)| {
            let bits = F::weight_bits(index == 0 || index == last);
            let (_, high) = weight_range(bits);
            let units = layer.weights.chunks_exact(layer.columns).map(|row| {
                let largest = row.iter().fold(0.0f64, |m, &w| m.max(f64::from(w).abs()));
                largest / high
            });
            Layer {
                rows: layer.rows,
                columns: layer.columns,
                residual: layer.residual,
                bits,
                units: units.collect(),
                weights: wide(&layer.weights),
                biases: wide(&layer.biases),
            }
        });
        Self {
            hidden_unit: 1.0,
            exponents: Vec::new(),
            layers: layers.collect(),
        }
    }

    /// The unit with which `largest` is the largest hidden activation. Where the biases must have that unit too, it holds the positive ones: a
    /// negative one beyond the range switches its rectified row off all the same where it is cut off.
    pub fn unit_for<F: IntegerFormat>(&self, largest: f64) -> f64 {
        let hidden = self.layers.len().saturating_sub(1);
        let biases = self.layers.iter().take(hidden).flat_map(|l| &l.biases);
        let bias = biases.fold(0.0f64, |m, b| m.max(*b));
        let wide = F::REQUANT == ancestral::format::RequantKind::Wide;
        let held = if wide { largest.max(bias) } else { largest };
        held / F::HIDDEN_MAX
    }

    /// Units of layer `index`: of its inputs, of its outputs, and the largest output in that unit.
    pub fn ends<F: IntegerFormat>(&self, index: usize) -> (f64, f64, f64) {
        let input = if index == 0 { STATE_UNIT } else { self.hidden_unit };
        if index + 1 == self.layers.len() {
            (input, STATE_UNIT, f64::from(i16::MAX))
        } else {
            (input, self.hidden_unit, F::HIDDEN_MAX)
        }
    }

    /// How much smaller the unit of hidden activations is at step t, given `t − 1`.
    pub fn shrink(&self, step: usize) -> f64 {
        f64::from(1u32 << self.exponents.get(step).copied().unwrap_or(0).min(15))
    }

    /// The integers.
    pub fn quantise<F: IntegerFormat>(&self) -> Result<Quantised<F>> {
        let layers = (0..self.layers.len()).map(|index| self.quantise_layer(index));
        Ok(Quantised {
            exponents: self.exponents.clone(),
            layers: layers.collect::<Result<_>>()?,
        })
    }

    fn quantise_layer<F: IntegerFormat>(&self, index: usize) -> Result<LayerSpec<F>> {
        let layer = self.layers.get(index).context("there is no such layer")?;
        let (input_unit, output_unit, output_max) = self.ends::<F>(index);
        let (low, high) = weight_range(layer.bits);
        let (first, last) = (index == 0, index + 1 == self.layers.len());
        // What one unit of inputs and of outputs is divided by at the step of a row of biases.
        let entries = layer.biases.len() / layer.rows.max(1);
        ensure!(
            self.exponents.is_empty() || entries == self.exponents.len(),
            "layer {index}: units that differ between steps need biases for every step"
        );
        let steps: Vec<(f64, f64)> = (0..entries)
            .map(|step| {
                let shrink = self.shrink(step);
                (if first { 1.0 } else { shrink }, if last { 1.0 } else { shrink })
            })
            .collect();
        let mut weights = Vec::with_capacity(layer.weights.len());
        let mut requant = Vec::with_capacity(layer.rows);
        let mut bias_units = Vec::with_capacity(layer.rows);
        for (row, (values, &unit)) in layer.weights.chunks_exact(layer.columns).zip(&layer.units).enumerate() {
            let start = weights.len();
            weights.extend(values.iter().map(|w| (w / unit).round().clamp(low, high) as i8));
            let sum: i32 = weights.iter().skip(start).map(|&w| i32::from(w)).sum();
            let sum_unit = unit * input_unit;
            let factor = sum_unit / output_unit;
            // Half a unit of room, because the largest output is reached by rounding up to it.
            let biases = layer.biases.iter().skip(row).step_by(layer.rows);
            let largest_sum = biases.zip(&steps).fold(0.0f64, |m, (b, (input, output))| {
                let output = (output_max + 0.5) / factor * input / output;
                m.max(output).max(b.abs() / sum_unit * input)
            });
            let weight_sum = if first { 0 } else { sum };
            let (r, bias_unit) = F::requant(factor, largest_sum, weight_sum).with_context(|| {
                format!(
                    "layer {index}, row {row}: its scale overflows: one unit of its sum would be {factor:.3e} units of its output, \
                     which the format {} cannot express; the row's largest weight is {:.3e}",
                    F::ID,
                    unit * high
                )
            })?;
            requant.push(r);
            bias_units.push(bias_unit * if F::BIAS_IN_SUM { sum_unit } else { output_unit });
        }
        let mut biases = Vec::with_capacity(layer.biases.len());
        for (position, bias) in layer.biases.iter().enumerate() {
            let row = position % layer.rows;
            let (input, output) = steps.get(position / layer.rows).copied().unwrap_or((1.0, 1.0));
            let shrink = if F::BIAS_IN_SUM { input } else { output };
            let mut value = (bias * shrink / bias_units.get(row).copied().unwrap_or(output_unit)).round();
            if !last {
                // Below this a sum would have to exceed the largest activation to bring the row back above zero.
                value = value.max(-f64::from(i16::MAX));
            }
            ensure!(
                value.abs() <= f64::from(i16::MAX),
                "layer {index}, row {row}: the bias {bias:.3e} does not fit 16 bits in the unit of the row's {}",
                if F::BIAS_IN_SUM { "sum" } else { "output" }
            );
            biases.push(value as i16);
        }
        let packed = layer.bits == 4;
        Ok(LayerSpec {
            rows: layer.rows,
            columns: layer.columns,
            relu: index + 1 != self.layers.len(),
            residual: layer.residual,
            packed,
            weights: if packed {
                pack_rows(&weights, layer.columns)
            } else {
                weights
            },
            biases,
            requant,
        })
    }
}
