//! The read-out at one γ.

use super::form::ReadOut;
use super::operands::{Row, RowResults};
use super::posterior::LevelConstants;
use ancestral::schedule::{Prediction, alpha, sigma, snr};
use pulp::Arch;

/// Constants of the read-out at one γ.
#[derive(Clone, Copy)]
pub(in crate::fused) enum RowReadOut {
    Value(ValueConstants),
    Levels(LevelConstants),
}

/// The error as a sum `of_x·x + of_noise·ε + of_output·f`, and the derivatives of its factors by γ.
#[derive(Clone, Copy)]
pub(in crate::fused) struct ValueConstants {
    of: [f32; 3],
    moved: [f32; 3],
    /// √SNR, if estimates are clipped.
    clip: Option<f32>,
}

impl RowReadOut {
    /// Computes the constants at a γ.
    pub fn new(read_out: ReadOut, gamma: f64) -> Self {
        let root = snr(gamma).sqrt();
        let (of, moved) = match read_out.prediction {
            // x̂ − x = σ (v − f) with v = α ε − σ x, and √SNR σ = α.
            Prediction::V => {
                let (a, s) = (alpha(gamma), sigma(gamma));
                let slope = 0.5 * s * a;
                (
                    [-s * a, a * a, -a],
                    [-slope * (a * a - s * s), -s * s * a * a, slope * s],
                )
            }
            Prediction::X => ([-root, 0.0, root], [0.5 * root, 0.0, -0.5 * root]),
            Prediction::Odds { levels } => return Self::Levels(LevelConstants::new(levels, gamma)),
        };
        Self::Value(ValueConstants {
            of: of.map(|v| v as f32),
            moved: moved.map(|v| v as f32),
            clip: read_out.clip.then_some(root as f32),
        })
    }

    /// Computes the error √SNR·(x̂ − x) of each dimension. In this unit it has derivatives that do not cancel.
    pub fn error(&self, row: Row<'_>, results: RowResults<'_>) {
        match self {
            Self::Value(constants) => constants.error(row, results),
            Self::Levels(constants) => constants.error(row, results),
        }
    }

    /// Computes `−ln p(x | z)` of each dimension in nats. Without levels there is nothing to compute.
    pub fn level_nats(&self, row: Row<'_>, results: RowResults<'_>) {
        if let Self::Levels(constants) = self {
            constants.nats(row, results);
        }
    }
}

impl ValueConstants {
    fn error(&self, row: Row<'_>, results: RowResults<'_>) {
        let ([of_x, of_noise, of_output], [by_x, by_noise, by_output]) = (self.of, self.moved);
        Arch::new().dispatch(
            #[inline(always)]
            || {
                let operands = row.x.iter().zip(row.noise).zip(row.output);
                let derivatives = results.by_output.iter_mut().zip(results.by_gamma.iter_mut());
                for ((value, (to_output, to_gamma)), ((x, n), f)) in
                    results.value.iter_mut().zip(derivatives).zip(operands)
                {
                    let error = of_x * x + of_noise * n + of_output * f;
                    let slope = by_x * x + by_noise * n + by_output * f;
                    *value = error;
                    *to_output = of_output;
                    *to_gamma = slope;
                }
                if let Some(root) = self.clip {
                    clip(root, row.x, results);
                }
            },
        );
    }
}

/// Clips the estimates to [−1, 1]: beyond, the error depends on γ by its unit alone.
#[inline(always)]
fn clip(root: f32, x: &[f32], results: RowResults<'_>) {
    let derivatives = results.by_output.iter_mut().zip(results.by_gamma);
    for ((value, (to_output, to_gamma)), x) in results.value.iter_mut().zip(derivatives).zip(x) {
        // Not `clamp`: NaN must pass.
        let (low, high) = (root * (-1.0 - x), root * (1.0 - x));
        let outside = *value < low || *value > high;
        let bound = if *value < low { low } else { high };
        *value = if outside { bound } else { *value };
        *to_output = if outside { 0.0 } else { *to_output };
        *to_gamma = if outside { -0.5 * bound } else { *to_gamma };
    }
}
