//! From real numbers to the integers of a file: the one definition, for export and for fine-tuning.

use super::formats::IntegerFormat;
use ancestral::F32;
use ancestral::fixed::STATE_ONE;
use ancestral::kernel::portable::pack_rows;
use ancestral::model::{LayerSpec, ModelSpec};
use ancestral::schedule::Prediction;
use anyhow::{Context, Result, ensure};

/// Unit of the state and of the network's output.
pub const STATE_UNIT: f64 = 1.0 / STATE_ONE as f64;

/// A network in real numbers, with the units of its rounding.
#[derive(Clone, Debug)]
pub struct ScaledNetwork {
    /// Unit of a hidden activation at a step with exponent 0.
    pub hidden_unit: f64,
    /// Power of two that the hidden unit is divided by at each call of the network; one value for each, or none.
    pub exponents: Vec<u8>,
    /// The layers in order.
    pub layers: Vec<ScaledLayer>,
    /// Outputs are log-odds. Beyond the state's range of 8 nats, odds of 1 to 3,000, they stay at its end.
    pub odds: bool,
}

/// A layer of a [`ScaledNetwork`].
#[derive(Clone, Debug)]
pub struct ScaledLayer {
    /// Number of outputs.
    pub rows: usize,
    /// Number of inputs.
    pub columns: usize,
    /// True if its input is added to its output.
    pub residual: bool,
    /// Bits of a weight.
    pub bits: u32,
    /// Weights, `rows × columns`.
    pub weights: Vec<f64>,
    /// Unit of each row's weights, `rows`.
    pub units: Vec<f64>,
    /// Biases, `rows` or `calls × rows`.
    pub biases: Vec<f64>,
}

/// Returns the smallest and the largest weight of `bits` bits.
///
/// Eight bits are kept symmetric: −128·−128 twice would not fit the 16-bit pair products of some cores.
pub const fn weight_range(bits: u32) -> (f64, f64) {
    match bits {
        4 => (-8.0, 7.0),
        _ => (-127.0, 127.0),
    }
}

/// A network in integers.
#[derive(Clone, Debug)]
pub struct IntegerNetwork<F: IntegerFormat> {
    /// Exponents of the calls, as in [`ScaledNetwork::exponents`].
    pub exponents: Vec<u8>,
    /// The layers in order.
    pub layers: Vec<LayerSpec<F>>,
}

impl ScaledNetwork {
    /// Takes the numbers of a float network. Each row's unit makes its largest weight the largest integer.
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
            ScaledLayer {
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
            odds: matches!(float.head.prediction, Prediction::Odds { .. }),
        }
    }

    /// Returns the unit with which `largest` is the largest hidden activation.
    ///
    /// If the biases have that unit too, it holds the positive ones as well. A negative one beyond the range switches
    /// its rectified row off even after clipping.
    pub fn unit_for<F: IntegerFormat>(&self, largest: f64) -> f64 {
        let hidden = self.layers.len().saturating_sub(1);
        let biases = self.layers.iter().take(hidden).flat_map(|l| &l.biases);
        let bias = biases.fold(0.0f64, |m, b| m.max(*b));
        let wide = F::REQUANT == ancestral::format::RequantKind::Wide;
        let held = if wide { largest.max(bias) } else { largest };
        held / F::HIDDEN_MAX
    }

    /// Returns the units of layer `index` for its inputs and its outputs, and the largest output in its unit.
    pub fn edge_units<F: IntegerFormat>(&self, index: usize) -> (f64, f64, f64) {
        let input = if index == 0 { STATE_UNIT } else { self.hidden_unit };
        if index + 1 == self.layers.len() {
            (input, STATE_UNIT, f64::from(i16::MAX))
        } else {
            (input, self.hidden_unit, F::HIDDEN_MAX)
        }
    }

    /// Returns the divisor of the hidden unit at a call of the network.
    pub fn shrink(&self, call: usize) -> f64 {
        f64::from(1u32 << self.exponents.get(call).copied().unwrap_or(0).min(15))
    }

    /// Rounds to integers; an error names the layer and the row that the format cannot hold.
    pub fn to_integers<F: IntegerFormat>(&self) -> Result<IntegerNetwork<F>> {
        let layers = (0..self.layers.len()).map(|index| self.layer_to_integers(index));
        Ok(IntegerNetwork {
            exponents: self.exponents.clone(),
            layers: layers.collect::<Result<_>>()?,
        })
    }

    fn layer_to_integers<F: IntegerFormat>(&self, index: usize) -> Result<LayerSpec<F>> {
        let layer = self.layers.get(index);
        let layer = layer.with_context(|| {
            format!(
                "layer {index} was asked for, but the network has {}: please report this",
                self.layers.len()
            )
        })?;
        let divisors = self.divisors(index, layer)?;
        let rows = self.rows_to_integers::<F>(index, layer, &divisors)?;
        let biases = self.biases_to_integers::<F>(index, layer, &divisors, &rows.bias_units)?;
        let packed = layer.bits == 4;
        Ok(LayerSpec {
            rows: layer.rows,
            columns: layer.columns,
            relu: index + 1 != self.layers.len(),
            residual: layer.residual,
            packed,
            weights: if packed {
                pack_rows(&rows.weights, layer.columns)
            } else {
                rows.weights
            },
            biases,
            requant: rows.requant,
        })
    }

    /// Returns the divisors of the units of a layer's inputs and outputs, for each row of its biases.
    fn divisors(&self, index: usize, layer: &ScaledLayer) -> Result<Vec<(f64, f64)>> {
        let (first, last) = (index == 0, index + 1 == self.layers.len());
        let entries = layer.biases.len() / layer.rows.max(1);
        ensure!(
            self.exponents.is_empty() || entries == self.exponents.len(),
            "layer {index}: units that differ between steps need biases for every step"
        );
        let of_call = |call| {
            let shrink = self.shrink(call);
            (if first { 1.0 } else { shrink }, if last { 1.0 } else { shrink })
        };
        Ok((0..entries).map(of_call).collect())
    }

    fn rows_to_integers<F: IntegerFormat>(
        &self,
        index: usize,
        layer: &ScaledLayer,
        divisors: &[(f64, f64)],
    ) -> Result<IntegerRows<F>> {
        let (input_unit, output_unit, output_max) = self.edge_units::<F>(index);
        let (low, high) = weight_range(layer.bits);
        let mut rows = IntegerRows {
            weights: Vec::with_capacity(layer.weights.len()),
            requant: Vec::with_capacity(layer.rows),
            bias_units: Vec::with_capacity(layer.rows),
        };
        for (row, (values, &unit)) in layer.weights.chunks_exact(layer.columns).zip(&layer.units).enumerate() {
            let start = rows.weights.len();
            let rounded = values.iter().map(|w| (w / unit).round().clamp(low, high) as i8);
            rows.weights.extend(rounded);
            let sum: i32 = rows.weights.iter().skip(start).map(|&w| i32::from(w)).sum();
            let sum_unit = unit * input_unit;
            let factor = sum_unit / output_unit;
            // Half a unit more, because rounding up reaches the largest output.
            let biases = layer.biases.iter().skip(row).step_by(layer.rows);
            let largest_sum = biases.zip(divisors).fold(0.0f64, |m, (b, (input, output))| {
                let output = (output_max + 0.5) / factor * input / output;
                m.max(output).max(b.abs() / sum_unit * input)
            });
            let weight_sum = if index == 0 { 0 } else { sum };
            let (requant, bias_unit) = F::requant(factor, largest_sum, weight_sum).with_context(|| {
                format!(
                    "layer {index}, row {row}: its scale overflows: one unit of its sum would be {factor:.3e} units of its output, \
                     which the format {} cannot express; the row's largest weight is {:.3e}",
                    F::ID,
                    unit * high
                )
            })?;
            rows.requant.push(requant);
            let base = if F::BIAS_IN_SUM { sum_unit } else { output_unit };
            rows.bias_units.push(bias_unit * base);
        }
        Ok(rows)
    }

    fn biases_to_integers<F: IntegerFormat>(
        &self,
        index: usize,
        layer: &ScaledLayer,
        divisors: &[(f64, f64)],
        units: &[f64],
    ) -> Result<Vec<i16>> {
        let last = index + 1 == self.layers.len();
        let (_, output_unit, _) = self.edge_units::<F>(index);
        let mut biases = Vec::with_capacity(layer.biases.len());
        for (position, bias) in layer.biases.iter().enumerate() {
            let row = position % layer.rows;
            let (input, output) = divisors.get(position / layer.rows).copied().unwrap_or((1.0, 1.0));
            let shrink = if F::BIAS_IN_SUM { input } else { output };
            let mut value = (bias * shrink / units.get(row).copied().unwrap_or(output_unit)).round();
            if !last {
                // Below this a sum would have to exceed the largest activation to bring the row back above zero.
                value = value.max(-f64::from(i16::MAX));
            } else if self.odds {
                value = value.clamp(-f64::from(i16::MAX), f64::from(i16::MAX));
            }
            ensure!(
                value.abs() <= f64::from(i16::MAX),
                "layer {index}, row {row}: the bias {bias:.3e} does not fit 16 bits in the unit of the row's {}",
                if F::BIAS_IN_SUM { "sum" } else { "output" }
            );
            biases.push(value as i16);
        }
        Ok(biases)
    }
}

/// The rows of a layer in integers.
struct IntegerRows<F: IntegerFormat> {
    weights: Vec<i8>,
    requant: Vec<F::Requant>,
    /// Unit of each row's biases.
    bias_units: Vec<f64>,
}
