//! The integers of the weights: rounding with feedback, on the grid that loses least.

use super::integers::{ScaledNetwork, weight_range};
use super::moments::Moments;
use nalgebra::{Cholesky, DMatrix};
use rayon::prelude::*;

/// Damping of the moments, as a share of their mean diagonal.
const DAMPING: f64 = 0.01;

/// Shares of a row's largest weight, tried as the largest that its grid holds. Four bits gain from clipping the largest
/// weights, eight hardly.
const SHARES_OF_8_BITS: &[f64] = &[1.0, 0.95, 0.9, 0.85];
const SHARES_OF_4_BITS: &[f64] = &[
    1.1, 1.05, 1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45,
];

/// Chooses every row's unit and puts its weights on the grid.
pub fn round_all(network: &mut ScaledNetwork, moments: &Moments) {
    for (layer, second) in network.layers.iter_mut().zip(&moments.second) {
        let feedback = Feedback::new(second, layer.columns);
        let shares = if layer.bits == 4 {
            SHARES_OF_4_BITS
        } else {
            SHARES_OF_8_BITS
        };
        let range = weight_range(layer.bits);
        layer
            .weights
            .par_chunks_exact_mut(layer.columns)
            .zip(&mut layer.units)
            .for_each(|(row, unit)| {
                let tries = shares.iter().map(|share| {
                    let unit = *unit * share;
                    (feedback.round_row(row, unit, range), unit)
                });
                if let Some(((weights, _), best)) = tries.min_by(|a, b| a.0.1.total_cmp(&b.0.1)) {
                    *unit = best;
                    row.copy_from_slice(&weights);
                }
            });
    }
}

/// Rounding with feedback: the weights of a row that are not yet rounded compensate the error of those that are.
///
/// The inputs' second moments `H = ⟨x xᵀ⟩` decide how (optimal brain quantization in the order of the columns, Frantar
/// et al. 2022, "GPTQ"). It needs the upper Cholesky factor of H⁻¹.
struct Feedback {
    columns: usize,
    /// Upper triangle, row-major.
    factor: Vec<f64>,
}

impl Feedback {
    fn new(moments: &[f64], columns: usize) -> Self {
        let mut damped = DMatrix::from_row_slice(columns, columns, moments);
        let damping = DAMPING * damped.trace() / columns as f64 + f64::MIN_POSITIVE;
        for i in 0..columns {
            damped[(i, i)] += damping;
        }
        let lower = Cholesky::new(damped)
            .and_then(|c| Cholesky::new(c.inverse()))
            .map(|c| c.unpack());
        // Without moments (no state was seen) the identity remains: plain rounding.
        let lower = lower.unwrap_or_else(|| DMatrix::identity(columns, columns));
        Self {
            columns,
            // The columns of the lower factor are the rows of the upper one.
            factor: lower.as_slice().to_vec(),
        }
    }

    /// Returns the weights on the grid of `unit`, and the cost of their error: `eᵀHe`, up to the damping.
    fn round_row(&self, row: &[f64], unit: f64, (low, high): (f64, f64)) -> (Vec<f64>, f64) {
        let mut rest = row.to_vec();
        let mut out = Vec::with_capacity(row.len());
        let mut cost = 0.0;
        for column in 0..self.columns {
            let value = rest.get(column).copied().unwrap_or(0.0);
            let rounded = (value / unit).round().clamp(low, high) * unit;
            out.push(rounded);
            let error = (value - rounded) / self.factor.get(column * self.columns + column).copied().unwrap_or(1.0);
            cost += error * error;
            let factors = self.factor.iter().skip(column * self.columns + column + 1);
            for (w, factor) in rest.iter_mut().skip(column + 1).zip(factors) {
                *w -= error * factor;
            }
        }
        (out, cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feedback_makes_the_output_error_smaller() {
        // Correlated inputs: the sum of the weights matters more than each.
        let n = 16;
        let moments: Vec<f64> = (0..n * n).map(|i| if i / n == i % n { 1.0 } else { 0.9 }).collect();
        let unit = 0.1;
        let cost = |row: &[f64], q: &[f64]| {
            let e: Vec<f64> = row.iter().zip(q).map(|(w, q)| w - q).collect();
            let mut sum = 0.0;
            for i in 0..n {
                for j in 0..n {
                    sum += e[i] * moments[i * n + j] * e[j];
                }
            }
            sum
        };
        let (with, without) = (
            Feedback::new(&moments, n),
            Feedback {
                columns: n,
                factor: DMatrix::identity(n, n).as_slice().to_vec(),
            },
        );
        let (mut fed, mut plain) = (0.0, 0.0);
        for r in 0..50 {
            let row: Vec<f64> = (0..n).map(|c| ((r * n + c) as f64 * 2.4).sin()).collect();
            let (rounded, claimed) = with.round_row(&row, unit, (-127.0, 127.0));
            let true_cost = cost(&row, &rounded);
            assert!((claimed / true_cost - 1.0).abs() < 0.1, "{claimed} {true_cost}");
            fed += true_cost;
            plain += cost(&row, &without.round_row(&row, unit, (-127.0, 127.0)).0);
        }
        assert!(fed < 0.5 * plain, "{fed} {plain}");
    }
}
