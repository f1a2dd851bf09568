//! Float → 8-bit weights and 16-bit activations.

use super::calibrate::Ranges;
use ancestral::fixed::{Requant, STATE_ONE};
use ancestral::model::{LayerSpec, ModelSpec};
use ancestral::{F32, W8A16};
use anyhow::{Context, Result, bail, ensure};

/// Largest magnitude of a weight: symmetric, so that −128 is not used.
const WEIGHT_MAX: f64 = 127.0;
/// Room above the largest activation seen.
const HEADROOM: f64 = 1.25;
/// Damping of the moments, as a share of their mean diagonal, in the rounding with feedback.
const DAMPING: f64 = 0.01;

/// Quantises a float model.
///
/// * `ranges`: what its layers' inputs look like.
pub fn quantise(spec: &ModelSpec<F32>, ranges: &Ranges) -> Result<ModelSpec<W8A16>> {
    // Hidden layers share one unit, because residual layers add their input to their output.
    let largest = ranges.largest.iter().skip(1).fold(0.0f32, |m, &l| m.max(l));
    ensure!(
        largest > 0.0,
        "every hidden activation of the model is 0: the network is dead, train again"
    );
    let hidden_unit = f64::from(largest) * HEADROOM / f64::from(i16::MAX);
    let state_unit = 1.0 / f64::from(STATE_ONE);
    let last = spec.layers.len() - 1;
    let mut layers = Vec::new();
    for (index, layer) in spec.layers.iter().enumerate() {
        let input_unit = if index == 0 { state_unit } else { hidden_unit };
        let output_unit = if index == last { state_unit } else { hidden_unit };
        let moments = ranges.moments.get(index).context("a layer was not calibrated")?;
        layers.push(quantise_layer(layer, index, moments, input_unit, output_unit)?);
    }
    Ok(ModelSpec {
        prediction: spec.prediction,
        clip: spec.clip,
        levels: spec.levels,
        gamma: spec.gamma.clone(),
        mean: spec.mean.clone(),
        scale: spec.scale.clone(),
        note: spec.note.clone(),
        layers,
    })
}

fn quantise_layer(
    layer: &LayerSpec<F32>,
    index: usize,
    moments: &[f64],
    input_unit: f64,
    output_unit: f64,
) -> Result<LayerSpec<W8A16>> {
    let (rows, columns) = (layer.rows, layer.columns);
    let feedback = Feedback::new(moments, columns);
    let mut weights = Vec::with_capacity(rows * columns);
    let mut requant = Vec::with_capacity(rows);
    let mut units = Vec::with_capacity(rows);
    for row in layer.weights.chunks_exact(columns) {
        let largest = row.iter().fold(0.0f64, |m, &w| m.max(f64::from(w).abs()));
        // A row of zeros keeps its bias: any unit serves it.
        let unit = if largest > 0.0 {
            largest / WEIGHT_MAX
        } else {
            output_unit / input_unit
        };
        weights.extend(feedback.round_row(row, unit));
        let factor = unit * input_unit / output_unit;
        requant.push(Requant::from_factor(factor).with_context(|| {
            format!(
                "layer {index}, row {}: the requantisation factor {factor} is out of range",
                requant.len()
            )
        })?);
        units.push(unit * input_unit);
    }
    let mut biases = Vec::with_capacity(layer.biases.len());
    for (position, &bias) in layer.biases.iter().enumerate() {
        let row = position % rows;
        let unit = units.get(row).copied().unwrap_or(output_unit);
        let value = (f64::from(bias) / unit).round();
        if value.abs() > f64::from(i32::MAX) {
            bail!("layer {index}, row {row}: the bias {bias} does not fit the accumulator");
        }
        biases.push(value as i32);
    }
    let layer = LayerSpec {
        rows,
        columns,
        relu: layer.relu,
        residual: layer.residual,
        weights,
        biases,
        requant,
    };
    prove_no_overflow(&layer, index)?;
    Ok(layer)
}

/// Proves for every row that no sum of its products and its bias, in any order and for any input, leaves 32 bits:
/// `Σ|w|·2¹⁵ + max|bias| < 2³¹`.
pub fn prove_no_overflow(layer: &LayerSpec<W8A16>, index: usize) -> Result<()> {
    for (row, weights) in layer.weights.chunks_exact(layer.columns).enumerate() {
        let sum: i64 = weights.iter().map(|w| i64::from(w.unsigned_abs())).sum();
        let bias = layer
            .biases
            .iter()
            .skip(row)
            .step_by(layer.rows)
            .map(|b| i64::from(b.unsigned_abs()))
            .max();
        let bound = sum * (1 << 15) + bias.unwrap_or(0);
        ensure!(
            bound < 1 << 31,
            "layer {index}, row {row}: its sum can reach {bound}, beyond 32 bits; the layer is too wide ({} inputs) or its \
             biases are too large for this format",
            layer.columns
        );
    }
    Ok(())
}

/// Rounding with feedback: the error made in one weight is compensated in the weights of the row that are not yet
/// rounded, as the inputs' second moments `H = ⟨x xᵀ⟩` say it can be (optimal brain quantisation in the order of the columns, Frantar
/// et al. 2022, "GPTQ"). It needs the upper Cholesky factor of H⁻¹.
struct Feedback {
    columns: usize,
    /// Row-major upper triangle.
    factor: Vec<f64>,
}

impl Feedback {
    fn new(moments: &[f64], columns: usize) -> Self {
        let mut damped = moments.to_vec();
        let mean = (0..columns).map(|i| at(&damped, columns, i, i)).sum::<f64>() / columns as f64;
        for i in 0..columns {
            if let Some(d) = damped.get_mut(i * columns + i) {
                *d += DAMPING * mean + f64::MIN_POSITIVE;
            }
        }
        let factor = cholesky(&damped, columns)
            .and_then(|lower| cholesky(&inverse_from(&lower, columns), columns))
            .map(|lower| transpose(&lower, columns));
        // Without moments (nothing was seen) the identity is left: plain rounding.
        Self {
            columns,
            factor: factor.unwrap_or_else(|| identity(columns)),
        }
    }

    fn round_row(&self, row: &[f32], unit: f64) -> Vec<i8> {
        let mut rest: Vec<f64> = row.iter().map(|&w| f64::from(w)).collect();
        let mut out = Vec::with_capacity(row.len());
        for column in 0..self.columns {
            let value = rest.get(column).copied().unwrap_or(0.0);
            let rounded = (value / unit).round().clamp(-WEIGHT_MAX, WEIGHT_MAX);
            out.push(rounded as i8);
            let error = (value - rounded * unit) / at(&self.factor, self.columns, column, column);
            for later in column + 1..self.columns {
                if let Some(w) = rest.get_mut(later) {
                    *w -= error * at(&self.factor, self.columns, column, later);
                }
            }
        }
        out
    }
}

fn at(matrix: &[f64], n: usize, row: usize, column: usize) -> f64 {
    matrix.get(row * n + column).copied().unwrap_or(0.0)
}

fn identity(n: usize) -> Vec<f64> {
    (0..n * n).map(|i| if i / n == i % n { 1.0 } else { 0.0 }).collect()
}

fn transpose(m: &[f64], n: usize) -> Vec<f64> {
    (0..n * n).map(|i| at(m, n, i % n, i / n)).collect()
}

/// The lower factor L of a symmetric positive definite matrix L Lᵀ; `None` if it is not one.
fn cholesky(m: &[f64], n: usize) -> Option<Vec<f64>> {
    let mut l = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let sum: f64 = (0..j).map(|k| l[i * n + k] * l[j * n + k]).sum();
            let rest = m[i * n + j] - sum;
            l[i * n + j] = if i == j {
                if !(rest.is_finite() && rest > 0.0) {
                    return None;
                }
                rest.sqrt()
            } else {
                rest / l[j * n + j]
            };
        }
    }
    Some(l)
}

/// (L Lᵀ)⁻¹, column by column.
fn inverse_from(l: &[f64], n: usize) -> Vec<f64> {
    let mut inverse = vec![0.0; n * n];
    for column in 0..n {
        let mut y = vec![0.0; n];
        for i in column..n {
            let sum: f64 = (column..i).map(|k| l[i * n + k] * y[k]).sum();
            y[i] = (if i == column { 1.0 } else { 0.0 } - sum) / l[i * n + i];
        }
        for i in (0..n).rev() {
            let sum: f64 = (i + 1..n).map(|k| l[k * n + i] * inverse[k * n + column]).sum();
            inverse[i * n + column] = (y[i] - sum) / l[i * n + i];
        }
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cholesky_and_inverse_undo_each_other() {
        let n = 5usize;
        let m: Vec<f64> = (0..n * n)
            .map(|i| {
                if i / n == i % n {
                    4.0
                } else {
                    1.0 / (1.0 + (i / n).abs_diff(i % n) as f64)
                }
            })
            .collect();
        let inverse = inverse_from(&cholesky(&m, n).unwrap(), n);
        for i in 0..n {
            for j in 0..n {
                let sum: f64 = (0..n).map(|k| m[i * n + k] * inverse[k * n + j]).sum();
                assert!((sum - if i == j { 1.0 } else { 0.0 }).abs() < 1e-12);
            }
        }
        assert!(cholesky(&[0.0; 4], 2).is_none());
    }

    #[test]
    fn feedback_makes_the_output_error_smaller() {
        // Correlated inputs: the sum of the weights matters more than each.
        let n = 16;
        let moments: Vec<f64> = (0..n * n).map(|i| if i / n == i % n { 1.0 } else { 0.9 }).collect();
        let unit = 0.1;
        let cost = |row: &[f32], q: &[i8]| {
            let e: Vec<f64> = row
                .iter()
                .zip(q)
                .map(|(&w, &q)| f64::from(w) - f64::from(q) * unit)
                .collect();
            let mut sum = 0.0;
            for i in 0..n {
                for j in 0..n {
                    sum += e[i] * at(&moments, n, i, j) * e[j];
                }
            }
            sum
        };
        let (with, without) = (
            Feedback::new(&moments, n),
            Feedback {
                columns: n,
                factor: identity(n),
            },
        );
        let (mut fed, mut plain) = (0.0, 0.0);
        for r in 0..50 {
            let row: Vec<f32> = (0..n).map(|c| ((r * n + c) as f32 * 2.4).sin()).collect();
            fed += cost(&row, &with.round_row(&row, unit));
            plain += cost(&row, &without.round_row(&row, unit));
        }
        assert!(fed < 0.5 * plain, "{fed} {plain}");
    }

    #[test]
    fn a_row_that_can_overflow_is_named() {
        let layer = LayerSpec::<W8A16> {
            rows: 2,
            columns: 600,
            relu: false,
            residual: false,
            weights: [vec![1; 600], vec![127; 600]].concat(),
            biases: vec![0; 2],
            requant: vec![Requant::from_factor(0.5).unwrap(); 2],
        };
        let sentence = prove_no_overflow(&layer, 3).unwrap_err().to_string();
        assert!(sentence.contains("layer 3, row 1"), "{sentence}");
    }
}
