//! Passes over slices that are not products, compiled for the vector instructions of the machine that they run on.
//!
//! Each loop is plain `f32` arithmetic without fused multiply-adds, element by element, or a sum over sixteen partial
//! sums: the same bits for any width of a vector.

use pulp::Arch;
use serde::{Deserialize, Serialize};

/// Number of partial sums of a sum.
const LANES: usize = 16;

/// Activation of a hidden layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// max(s, 0); its slope at 0 is 1, as in candle
    Relu,
    /// s·sigmoid(s)
    Silu,
}

/// Operands of [`activate`] besides the sums, each with as many columns as the layer has rows.
pub struct Hidden<'a> {
    /// Rows of the layer.
    pub width: usize,
    /// The table of biases.
    pub biases: Biases<'a>,
    /// Factors of the activations.
    pub mask: Option<&'a [f32]>,
    /// Addends of the masked activations.
    pub residual: Option<&'a [f32]>,
}

/// One layer's part of a table of biases, and the row of the table for each row of the batch.
#[derive(Clone, Copy)]
pub struct Biases<'a> {
    /// The whole table, dense.
    pub table: &'a [f32],
    /// Columns of the table.
    pub stride: usize,
    /// The layer's first column.
    pub first: usize,
    /// Row of the table for each row of the batch.
    pub index: &'a [u32],
}

impl<'a> Biases<'a> {
    #[inline(always)]
    fn row(&self, row: usize, width: usize) -> &'a [f32] {
        let at = self.index[row] as usize * self.stride + self.first;
        &self.table[at..at + width]
    }
}

/// Computes a hidden layer from its sums: `out = act(sums + bias)·mask + residual`.
///
/// `sums` becomes the slopes, by which a gradient of `out` is multiplied.
pub fn activate(activation: Activation, sums: &mut [f32], out: &mut [f32], hidden: &Hidden<'_>) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            let width = hidden.width.max(1);
            for (i, (sums, out)) in sums
                .chunks_exact_mut(width)
                .zip(out.chunks_exact_mut(width))
                .enumerate()
            {
                let bias = hidden.biases.row(i, width);
                match activation {
                    Activation::Relu => {
                        for ((s, y), b) in sums.iter_mut().zip(out.iter_mut()).zip(bias) {
                            let sum = *s + b;
                            // Written so that NaN stays NaN and is detected.
                            *y = if sum < 0.0 { 0.0 } else { sum };
                            *s = if sum < 0.0 { 0.0 } else { 1.0 };
                        }
                    }
                    Activation::Silu => {
                        for ((s, y), b) in sums.iter_mut().zip(out.iter_mut()).zip(bias) {
                            let sum = *s + b;
                            let gate = 1.0 / (1.0 + exp(-sum));
                            *y = sum * gate;
                            *s = gate * (1.0 + sum * (1.0 - gate));
                        }
                    }
                }
                if let Some(mask) = hidden.mask {
                    let mask = &mask[i * width..(i + 1) * width];
                    for ((s, y), m) in sums.iter_mut().zip(out.iter_mut()).zip(mask) {
                        *y *= m;
                        *s *= m;
                    }
                }
                if let Some(residual) = hidden.residual {
                    let residual = &residual[i * width..(i + 1) * width];
                    for (y, r) in out.iter_mut().zip(residual) {
                        *y += r;
                    }
                }
            }
        },
    );
}

/// Adds its biases to each row.
pub fn add_biases(out: &mut [f32], width: usize, biases: Biases<'_>) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for (i, out) in out.chunks_exact_mut(width.max(1)).enumerate() {
                for (y, b) in out.iter_mut().zip(biases.row(i, width)) {
                    *y += b;
                }
            }
        },
    );
}

/// Computes `a *= b`.
pub fn scale(a: &mut [f32], b: &[f32]) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for (a, b) in a.iter_mut().zip(b) {
                *a *= b;
            }
        },
    );
}

/// Computes `a += b`.
pub fn add(a: &mut [f32], b: &[f32]) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for (a, b) in a.iter_mut().zip(b) {
                *a += b;
            }
        },
    );
}

/// Computes `out = a·x + b·y`.
pub fn mix(out: &mut [f32], a: f32, x: &[f32], b: f32, y: &[f32]) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
                *out = a * x + b * y;
            }
        },
    );
}

/// Computes `out = f − (a·x + b·y)`.
pub fn error(out: &mut [f32], f: &[f32], a: f32, x: &[f32], b: f32, y: &[f32]) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for (((out, f), x), y) in out.iter_mut().zip(f).zip(x).zip(y) {
                *out = f - (a * x + b * y);
            }
        },
    );
}

/// Computes `a *= by`.
pub fn stretch(a: &mut [f32], by: f32) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for a in a {
                *a *= by;
            }
        },
    );
}

/// Sums rows into the rows of a table: `table[index[i]] += values[i, first..first + width]`, in order.
///
/// * `stride`: columns of `values`.
pub fn gather_rows(table: &mut [f32], width: usize, values: &[f32], stride: usize, first: usize, index: &[u32]) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for (values, &to) in values.chunks_exact(stride.max(1)).zip(index) {
                let at = to as usize * width;
                for (sum, value) in table[at..at + width].iter_mut().zip(&values[first..first + width]) {
                    *sum += value;
                }
            }
        },
    );
}

/// Returns `Σ aᵢ`, summed in f64.
pub fn sum(a: &[f32]) -> f64 {
    a.iter().map(|a| f64::from(*a)).sum()
}

/// Returns `Σ aᵢ²`.
pub fn sum_of_squares(a: &[f32]) -> f32 {
    fold(a, a, |a, b| a * b)
}

/// Returns `Σ aᵢ·bᵢ`.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    fold(a, b, |a, b| a * b)
}

#[inline(always)]
fn fold(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            let mut lanes = [0.0f32; LANES];
            let (whole_a, rest_a) = a.as_chunks::<LANES>();
            let (whole_b, rest_b) = b.as_chunks::<LANES>();
            for (a, b) in whole_a.iter().zip(whole_b) {
                for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
                    *lane += term(*a, *b);
                }
            }
            for ((lane, a), b) in lanes.iter_mut().zip(rest_a).zip(rest_b) {
                *lane += term(*a, *b);
            }
            let mut width = LANES / 2;
            while width > 0 {
                let (low, high) = lanes.split_at_mut(width);
                for (low, high) in low.iter_mut().zip(high) {
                    *low += *high;
                }
                width /= 2;
            }
            lanes[0]
        },
    )
}

/// Returns eˣ within three units of the last place, by arithmetic that compiles to vector instructions.
///
/// It is `2ⁿ·Σ rᵏ/k!` with `x = n ln 2 + r` and `|r| ≤ ½ ln 2`; the first omitted term is below 6e-9. Arguments beyond
/// ±87 are clamped, so nothing overflows.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    /// Addend that rounds to a whole number, which is then in the last bits.
    const ROUND: f32 = 12_582_912.0; // 1.5·2²³
    /// ln 2 as a number of 9 bits, whose multiples are exact, and the rest.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    // Not `clamp`, `max` or `min`: NaN must pass.
    let x = if x > 87.0 { 87.0 } else { x };
    let x = if x < -87.0 { -87.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    let mut sum = 1.0 / 5040.0;
    for factor in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        sum = sum * r + factor;
    }
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0f32.to_bits()));
    sum * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_that_of_f64() {
        for i in -87_000..=87_000 {
            let x = i as f32 / 1e3;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(error < 3.6e-7, "e^{x}: {error}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NAN).is_nan());
        assert!(exp(1e9).is_finite() && exp(-1e9) > 0.0);
    }

    #[test]
    fn sums_take_every_element() {
        for n in [0usize, 1, 15, 16, 17, 100] {
            let a: Vec<f32> = (0..n).map(|i| i as f32).collect();
            let exact: usize = (0..n).map(|i| i * i).sum();
            assert_eq!(sum_of_squares(&a), exact as f32);
            assert_eq!(dot(&a, &vec![1.0; n]), (0..n).sum::<usize>() as f32);
        }
    }

    #[test]
    fn nan_is_not_hidden() {
        for activation in [Activation::Relu, Activation::Silu] {
            let (mut sums, mut out) = ([f32::NAN], [0.0]);
            let biases = Biases {
                table: &[0.0],
                stride: 1,
                first: 0,
                index: &[0],
            };
            let hidden = Hidden {
                width: 1,
                biases,
                mask: None,
                residual: None,
            };
            activate(activation, &mut sums, &mut out, &hidden);
            assert!(out[0].is_nan());
        }
    }
}
