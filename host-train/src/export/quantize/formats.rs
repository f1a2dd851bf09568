//! The integer formats: ranges, and the requantization of a row.

use ancestral::fixed::{NarrowRequant, WideRequant};
use ancestral::format::A8;
use ancestral::{Format, FormatId, Q3_12, W4A8, W8A8, W8A16, for_each_format};

/// An integer format as quantization needs it.
pub trait IntegerFormat: Format<Number = Q3_12, Weight = i8, Bias = i16, Sum = i32> {
    /// Largest hidden activation.
    const HIDDEN_MAX: f64;

    /// Adam's learning rate for fine-tuning: a step moves a weight by a small part of its grid's unit. A rate that
    /// suits a coarse grid undoes the calibration on a fine one.
    const RATE: f64;

    /// Bits of a layer's weights.
    ///
    /// * `edge`: whether it is the first or the last layer. These take part in few products, and no other layer
    ///   corrects their errors.
    fn weight_bits(edge: bool) -> u32;

    /// True if the unit of hidden activations may differ between steps.
    const EXPONENTS: bool;

    /// True if biases are added to the shifted sum, and have its unit; otherwise they are added to the output.
    const BIAS_IN_SUM: bool;

    /// Returns the requantization of a row, and the unit of its biases: in units of the sum, or of the output.
    ///
    /// * `factor`: units of the output in one unit of the sum, at a step with exponent 0;
    /// * `largest_sum`: largest relevant sum or bias, in units of the sum;
    /// * `weight_sum`: `Σ w` of a row whose inputs are hidden activations, else 0.
    fn requant(factor: f64, largest_sum: f64, weight_sum: i32) -> Option<(Self::Requant, f64)>;

    /// Returns the offset that the requantization adds to the sum.
    fn offset(requant: Self::Requant) -> i32;

    /// Returns an activation as a number, in the unit of hidden activations.
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

/// Chooses the shifts of a narrow requantization.
///
/// The first shift keeps as many bits of the relevant outputs and biases as 16 can hold: fewer would round, more would
/// saturate.
fn narrow_requant(factor: f64, largest_sum: f64, weight_sum: i32) -> Option<(NarrowRequant, f64)> {
    if !(factor.is_finite() && factor > 0.0) {
        return None;
    }
    let before = (0u8..=31).find(|&b| largest_sum / f64::from(1u32 << b) <= f64::from(i16::MAX))?;
    let requant = NarrowRequant {
        offset: weight_sum.checked_mul(128)?,
        ..NarrowRequant::from_factor(factor, before)?
    };
    // The steps' exponents must leave the second shift in its range.
    let allowed = 1 + u32::from(MAX_EXPONENT)..=NarrowRequant::MAX_AFTER - u32::from(MAX_EXPONENT);
    let fits = requant.multiplier == 0 || allowed.contains(&u32::from(requant.after));
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
                narrow_requant(factor, largest_sum, weight_sum)
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

/// Largest exponent of a step: its hidden unit is an eighth of the largest.
pub const MAX_EXPONENT: u8 = 3;

macro_rules! integer_rates {
    ($($(#[$doc:meta])* $format:ident = $code:literal, $name:literal, $kind:ident;)*) => {
        [$(integer_rates!(@$kind $format)),*]
    };
    (@float $format:ident) => {
        None
    };
    (@integer $format:ident) => {
        Some((FormatId::$format, <ancestral::$format as IntegerFormat>::RATE))
    };
}

/// Returns every integer format with its learning rate.
pub fn learning_rates() -> impl Iterator<Item = (FormatId, f64)> {
    for_each_format!(integer_rates).into_iter().flatten()
}
