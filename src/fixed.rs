//! Q-formats: what an integer means, how it is rounded, how it saturates.
//!
//! | quantity | type | format | range | resolution |
//! |---|---|---|---|---|
//! | state z, estimate x̂, network output f, noise n | `i16` | Q3.12 | ±8 | 2⁻¹² |
//! | step constants | `i16` | Q1.14 | ±2 | 2⁻¹⁴ |
//! | row multiplier of a requantisation | `i32` | mantissa in [2³⁰, 2³¹) | – | – |
//!
//! One rounding rule serves everything: add half of the last place and shift right arithmetically, so
//! ties go up (towards +∞). It costs one addition on every core and has no branch on the sign.

/// Fraction bits of a state value (Q3.12).
pub const STATE_BITS: u32 = 12;
/// 1.0 in Q3.12.
pub const STATE_ONE: i16 = 1 << STATE_BITS;
/// Fraction bits of a step constant (Q1.14).
pub const CONSTANT_BITS: u32 = 14;
/// 1.0 in Q1.14.
pub const CONSTANT_ONE: i16 = 1 << CONSTANT_BITS;

/// `value / 2^shift`, to nearest, ties up. `shift` must be in 1..=31.
///
/// ```
/// use ancestral::fixed::round_shift;
/// assert_eq!(round_shift(5, 1), 3); // 2.5 goes up
/// assert_eq!(round_shift(-5, 1), -2); // and so does −2.5
/// ```
#[inline(always)]
pub const fn round_shift(value: i32, shift: u32) -> i32 {
    value.wrapping_add(1 << (shift - 1)) >> shift
}

/// The nearest value an `i16` can hold.
///
/// ```
/// use ancestral::fixed::saturate;
/// assert_eq!(saturate(40_000), i16::MAX);
/// assert_eq!(saturate(-7), -7);
/// ```
#[inline(always)]
pub const fn saturate(value: i32) -> i16 {
    if value > i16::MAX as i32 {
        i16::MAX
    } else if value < i16::MIN as i32 {
        i16::MIN
    } else {
        value as i16
    }
}

/// One row's requantisation: accumulator → activation, `sat16((acc · multiplier + 2^(shift−1)) >> shift)`.
///
/// The product is 64 bits wide, so it is exact; there is one rounding. It stands in the model file as it
/// stands in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct Requant {
    /// Mantissa of the factor, 0 (a dead row) or in [2³⁰, 2³¹).
    pub multiplier: i32,
    /// The factor is `multiplier / 2^shift`; 1..=62.
    pub shift: u32,
}

impl Requant {
    /// Largest shift that a 64-bit product leaves room for.
    pub const MAX_SHIFT: u32 = 62;

    /// The closest `multiplier / 2^shift` to a factor, `None` when the factor is negative, not finite or
    /// too large (2³⁰ and above). Factors too small for the format become 0.
    ///
    /// ```
    /// use ancestral::fixed::Requant;
    /// let half = Requant::from_factor(0.5).unwrap();
    /// assert_eq!(half.apply(9), 5); // 4.5, ties up
    /// assert!(Requant::from_factor(f64::NAN).is_none());
    /// ```
    pub fn from_factor(factor: f64) -> Option<Self> {
        if !(0.0..(1u64 << 30) as f64).contains(&factor) {
            return None;
        }
        if factor == 0.0 {
            return Some(Self {
                multiplier: 0,
                shift: 1,
            });
        }
        let (mut mantissa, mut exponent) = libm::frexp(factor); // factor = mantissa · 2^exponent, mantissa in [½, 1)
        let mut multiplier = libm::round(mantissa * (1u64 << 31) as f64);
        if multiplier >= (1u64 << 31) as f64 {
            mantissa /= 2.0;
            exponent += 1;
            multiplier = libm::round(mantissa * (1u64 << 31) as f64);
        }
        let shift = 31 - exponent;
        if shift > Self::MAX_SHIFT as i32 {
            return Some(Self {
                multiplier: 0,
                shift: 1,
            });
        }
        if shift < 1 {
            return None;
        }
        Some(Self {
            multiplier: multiplier as i32,
            shift: shift as u32,
        })
    }

    /// The factor this stands for.
    pub fn factor(self) -> f64 {
        self.multiplier as f64 / (1u64 << self.shift.min(Self::MAX_SHIFT)) as f64
    }

    /// Whether the fields are in range; the model parser refuses a file where they are not.
    pub const fn is_valid(self) -> bool {
        (self.multiplier == 0 || self.multiplier >= 1 << 30) && self.shift >= 1 && self.shift <= Self::MAX_SHIFT
    }

    /// Requantises one accumulator.
    #[inline(always)]
    pub const fn apply(self, accumulator: i32) -> i16 {
        // `& 63` tells the compiler that the shift cannot overflow; parsing has checked 1..=62.
        let shift = self.shift & 63;
        let product = accumulator as i64 * self.multiplier as i64;
        let half = (1i64 << shift) >> 1;
        let rounded = product.wrapping_add(half) >> shift;
        if rounded > i16::MAX as i64 {
            i16::MAX
        } else if rounded < i16::MIN as i64 {
            i16::MIN
        } else {
            rounded as i16
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn requant_is_the_rounded_product(acc in any::<i32>(), factor in 1e-9f64..10.0) {
            let r = Requant::from_factor(factor).unwrap();
            prop_assert!(r.is_valid());
            prop_assert!((r.factor() / factor - 1.0).abs() < 1e-9);
            let exact = (acc as f64 * r.factor() + 0.5).floor().clamp(-32768.0, 32767.0);
            // f64 holds 53 of the product's 62 bits: allow the last place where it matters.
            prop_assert!((r.apply(acc) as f64 - exact).abs() <= 1.0);
            if acc.unsigned_abs() < 1 << 20 {
                prop_assert_eq!(r.apply(acc) as f64, exact);
            }
        }

        #[test]
        fn round_shift_rounds_ties_up(v in -1_000_000i32..1_000_000, s in 1u32..20) {
            let exact = (v as f64 / (1 << s) as f64 + 0.5).floor();
            prop_assert_eq!(round_shift(v, s) as f64, exact);
        }
    }

    #[test]
    fn factors_at_the_edges() {
        assert_eq!(Requant::from_factor(0.0).unwrap().apply(i32::MAX), 0);
        assert_eq!(Requant::from_factor(1e-30).unwrap().apply(i32::MAX), 0);
        assert!(Requant::from_factor(-1.0).is_none());
        assert!(Requant::from_factor(f64::INFINITY).is_none());
        let one = Requant::from_factor(1.0).unwrap();
        assert_eq!(one.apply(-12345), -12345);
        assert_eq!(one.apply(i32::MIN), i16::MIN);
        // The largest f64 below one rounds up to a mantissa of 2³¹ and must be renormalised.
        assert_eq!(Requant::from_factor(1.0 - 1e-16).unwrap().factor(), 1.0);
    }
}
