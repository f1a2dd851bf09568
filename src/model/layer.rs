//! One layer of a model, and what turns its sums into its outputs.

use super::layout::MAX_EXPONENT;
use crate::format::{Format, RequantKind, RowFinishes};
use crate::kernel::Matrix;

/// One layer: `y = activation(W·x + b_t) [+ x]`.
#[derive(Clone, Copy)]
pub struct Layer<'a, F: Format> {
    /// Number of outputs.
    pub rows: usize,
    /// Number of inputs.
    pub columns: usize,
    /// The rectifier follows the sum.
    pub relu: bool,
    /// The input is added to the output, after the rectifier.
    pub residual: bool,
    /// The biases differ per step.
    pub per_step: bool,
    /// Two 4-bit weights to an entry of `weights`.
    pub packed: bool,
    /// Row-major, `rows` times [`row_len`](crate::kernel::row_len).
    pub weights: &'a [F::Weight],
    /// `rows`, or none if the format needs no requantization.
    pub requant: &'a [F::Requant],
    pub(super) biases: &'a [F::Bias],
    /// The step of the first row of biases and of the first exponent: 0 if the network is the decoder, else 1.
    pub(super) first_call: usize,
    /// Exponents of the steps, or none if all are 0.
    pub(super) exponents: &'a [u8],
    /// Effect of a step's exponent on this layer: 1 if only its outputs have the hidden unit, −1 if only its inputs
    /// have it, 0 if both have.
    pub(super) exponent_sign: i32,
}

impl<'a, F: Format> Layer<'a, F> {
    /// Creates a layer outside a model, with the same biases at every step.
    ///
    /// * `weights`: `rows` times [`row_len`](crate::kernel::row_len);
    /// * `requant`: `rows`, or none if the format needs no requantization;
    /// * `biases`: `rows`.
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
            first_call: 1,
            exponents: &[],
            exponent_sign: 0,
        }
    }

    /// The weights with their shape.
    pub const fn matrix(&self) -> Matrix<'a, F::Weight> {
        Matrix {
            weights: self.weights,
            rows: self.rows,
            columns: self.columns,
            packed: self.packed,
        }
    }

    /// Returns what finishes the sums of the rows at step `t`.
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

    /// Returns the step's exponent: hidden activations have the model's unit divided by two to this power.
    fn exponent(&self, t: usize) -> i32 {
        let exponent = self
            .exponents
            .get(t.wrapping_sub(self.first_call))
            .copied()
            .unwrap_or(0);
        i32::from(exponent.min(MAX_EXPONENT))
    }

    /// Returns the biases at step `t` in `1..=T`, or 0 for the network decoder: `rows` values.
    pub fn bias(&self, t: usize) -> &'a [F::Bias] {
        let first = if self.per_step {
            t.wrapping_sub(self.first_call).wrapping_mul(self.rows)
        } else {
            0
        };
        self.biases.get(first..).and_then(|b| b.get(..self.rows)).unwrap_or(&[])
    }
}

/// Biases and requantizations that turn a layer's sums into its outputs at one step.
pub struct Finish<'a, F: Format> {
    /// One bias per row.
    pub biases: &'a [F::Bias],
    /// One requantization per row; as many `()` if the format has none.
    pub requant: &'a [F::Requant],
    /// The factors of all requantizations are to be multiplied by two to this power.
    pub exponent: i32,
}

impl<F: Format> Finish<'_, F> {
    /// Returns the biases and requantizations of `count` rows from `first` on, if there are as many.
    #[inline(always)]
    pub fn rows(&self, first: usize, count: usize) -> Option<RowFinishes<'_, F>> {
        Some((
            self.biases.get(first..)?.get(..count)?,
            self.requant.get(first..)?.get(..count)?,
        ))
    }
}

/// Requantizations of a format that has none: as many `()` as a layer can have rows.
static NOTHING: [(); u16::MAX as usize] = [(); u16::MAX as usize];
