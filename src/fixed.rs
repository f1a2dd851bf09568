//! Fixed-point formats: value, rounding and saturation of the integers.
//!
//! | quantity | type | format | range | resolution |
//! |---|---|---|---|---|
//! | state z, estimate x̂, network output f, noise n | `i16` | Q3.12 | ±8 | 2⁻¹² |
//! | step constants | `i16` | Q1.14 | ±2 | 2⁻¹⁴ |
//! | 8-bit activation a | `i8`, stored as a − 128 | 0..=255 | model's | 1/255 |
//! | multiplier of a [`WideRequant`] | `i32` | mantissa in [2³⁰, 2³¹) | – | 2⁻²² of it |
//! | multiplier of a [`NarrowRequant`] | `i16` | mantissa in [2¹⁴, 2¹⁵) | – | 2⁻¹⁵ of it |
//!
//! One rounding rule serves everything: add half of the last place and shift right arithmetically, so ties go up
//! (toward +∞). It costs one addition on every core and has no branch on the sign.

/// Number of fraction bits of a state value (Q3.12).
pub const STATE_BITS: u32 = 12;
/// 1.0 in Q3.12.
pub const STATE_ONE: i16 = 1 << STATE_BITS;
/// Number of fraction bits of a step constant (Q1.14).
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

/// Requantization of a row with 16-bit outputs: `sat16(((acc · multiplier + 2^(shift−1)) >> shift) + bias)`.
///
/// The product is 64 bits wide, so it is exact. There is one rounding; the bias is in the output's unit and is not
/// rounded. The factor is below one, so the shifted product fits 32 bits. The layout in the model file is that in
/// memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct WideRequant {
    /// Mantissa of the factor, 0 or in [2³⁰, 2³¹).
    pub multiplier: i32,
    /// The factor is `multiplier / 2^shift`; 31..=62.
    pub shift: u32,
}

impl WideRequant {
    /// Smallest shift: the factor is below one.
    pub const MIN_SHIFT: u32 = 31;
    /// Largest shift of a 64-bit product.
    pub const MAX_SHIFT: u32 = 62;
    /// Number of bits to which the host rounds mantissas. A product with a 31-bit sum is then exact in an `f64`, too,
    /// so training can compute what the device computes.
    const MANTISSA_BITS: u32 = 22;

    /// Returns the closest `multiplier / 2^shift` to a factor (to 22 bits), or `None` if the factor is negative, not
    /// finite or not below one. Factors too small for the format become 0.
    ///
    /// ```
    /// use ancestral::fixed::WideRequant;
    /// let half = WideRequant::from_factor(0.5).unwrap();
    /// assert_eq!(half.apply(9, 0), 5); // 4.5, ties up
    /// assert_eq!(half.apply(9, -7), -2);
    /// assert!(WideRequant::from_factor(f64::NAN).is_none());
    /// ```
    pub fn from_factor(factor: f64) -> Option<Self> {
        let (mantissa, shift) = normalize(factor, Self::MANTISSA_BITS)?;
        let shift = shift + (31 - Self::MANTISSA_BITS as i32);
        if mantissa == 0 || shift > Self::MAX_SHIFT as i32 {
            return Some(Self {
                multiplier: 0,
                shift: Self::MIN_SHIFT,
            });
        }
        (shift >= Self::MIN_SHIFT as i32).then_some(Self {
            multiplier: mantissa << (31 - Self::MANTISSA_BITS),
            shift: shift as u32,
        })
    }

    /// Returns the factor.
    pub fn factor(self) -> f64 {
        f64::from(self.multiplier) / (1u64 << self.shift.min(Self::MAX_SHIFT)) as f64
    }

    /// Returns whether the fields are in range; the model parser refuses a file in which they are not.
    pub const fn is_valid(self) -> bool {
        (self.multiplier == 0 || self.multiplier >= 1 << 30)
            && self.shift >= Self::MIN_SHIFT
            && self.shift <= Self::MAX_SHIFT
    }

    /// Multiplies the factor by `2^exponent`; the shift stays in its range.
    #[inline(always)]
    pub fn scaled(self, exponent: i32) -> Self {
        let shift = (self.shift as i32).wrapping_sub(exponent);
        Self {
            shift: shift.clamp(Self::MIN_SHIFT as i32, Self::MAX_SHIFT as i32) as u32,
            ..self
        }
    }

    /// Requantizes one accumulator.
    #[inline(always)]
    pub const fn apply(self, accumulator: i32, bias: i16) -> i16 {
        let product = accumulator as i64 * self.multiplier as i64;
        let rounded = if self.shift > 32 {
            // Nearly always, and then the product's high word is enough: adding half before the shift is adding one
            // before its last place. `& 31` tells the compiler that the shift cannot overflow; parsing has checked
            // 31..=62.
            let high = (product >> 32) as i32;
            (high >> ((self.shift - 33) & 31)).wrapping_add(1) >> 1
        } else {
            // 31 or 32: the high word again, of the product or of twice the product, and the bit below it. Shifts by a
            // number that is known here, because 64 bits by another are a function of their own on most cores.
            let product = if self.shift == 32 { product } else { product << 1 };
            ((product >> 32) as i32).wrapping_add((product as u32 >> 31) as i32)
        };
        saturate(rounded.saturating_add(bias as i32))
    }
}

/// Requantization of a row in a model with 8-bit activations, last layer included: no product is wider than 32 bits.
///
/// ```text
/// v = sat16(((acc + offset) >> before) + bias)
/// y = (v · multiplier + 2^(after−1)) >> after
/// ```
///
/// The first shift rounds down and leaves about 15 bits, many more than the output has; the only other rounding is the
/// last. The layout in the model file is that in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct NarrowRequant {
    /// Offset of the sum: `128·Σ w` over the row if the inputs are stored as `a − 128`, else 0.
    pub offset: i32,
    /// Mantissa of the factor, 0 or in [2¹⁴, 2¹⁵).
    pub multiplier: i16,
    /// The first shift; 0..=31.
    pub before: u8,
    /// The second shift; 1..=30.
    pub after: u8,
}

impl NarrowRequant {
    /// Largest second shift of a 30-bit product.
    pub const MAX_AFTER: u32 = 30;

    /// Returns the closest `multiplier / 2^after` to `factor · 2^before`, without an offset. Returns `None` if the
    /// product is negative, not finite, or 2¹⁴ or above, or if `before` is above 31.
    ///
    /// ```
    /// use ancestral::fixed::NarrowRequant;
    /// let r = NarrowRequant::from_factor(0.25, 1).unwrap(); // (9 >> 1) · ½
    /// assert_eq!(r.apply(9, 0), 2);
    /// assert_eq!(r.apply(9, 3), 4); // the bias has the unit of the shifted sum: (4 + 3) · ½, ties up
    /// ```
    pub fn from_factor(factor: f64, before: u8) -> Option<Self> {
        if before > 31 {
            return None;
        }
        let (mantissa, shift) = normalize(factor * f64::from(1u32 << before), 15)?;
        let none = Self {
            offset: 0,
            multiplier: 0,
            before,
            after: 1,
        };
        if mantissa == 0 || shift > Self::MAX_AFTER as i32 {
            return Some(none);
        }
        (shift >= 1).then_some(Self {
            multiplier: mantissa as i16,
            after: shift as u8,
            ..none
        })
    }

    /// Returns the factor from the accumulator to the output.
    pub fn factor(self) -> f64 {
        f64::from(self.multiplier) / (1u64 << (u32::from(self.before) + u32::from(self.after)).min(63)) as f64
    }

    /// Returns whether the fields are in range; the model parser refuses a file in which they are not.
    pub const fn is_valid(self) -> bool {
        (self.multiplier == 0 || self.multiplier >= 1 << 14)
            && self.before <= 31
            && self.after >= 1
            && self.after as u32 <= Self::MAX_AFTER
    }

    /// Multiplies the factor by `2^exponent`; the second shift stays in its range.
    #[inline(always)]
    pub fn scaled(self, exponent: i32) -> Self {
        let after = i32::from(self.after).wrapping_sub(exponent);
        Self {
            after: after.clamp(1, Self::MAX_AFTER as i32) as u8,
            ..self
        }
    }

    /// Requantizes one accumulator; the result is not yet saturated and lies within ±2³⁰.
    #[inline(always)]
    pub const fn apply(self, accumulator: i32, bias: i16) -> i32 {
        // `& 31` tells the compiler that the shifts cannot overflow; parsing has checked them.
        let sum = accumulator.wrapping_add(self.offset) >> (self.before & 31);
        let v = saturate(sum.saturating_add(bias as i32)) as i32;
        let after = (self.after & 31) as u32;
        // At most 2¹⁵·2¹⁵ + 2²⁹.
        (v * self.multiplier as i32).wrapping_add((1i32 << after) >> 1) >> after
    }
}

/// Splits a factor into `mantissa / 2^shift` with a mantissa of `bits` bits (the first is 1), or (0, 0) for zero.
/// Returns `None` if the factor is negative or not finite.
fn normalize(factor: f64, bits: u32) -> Option<(i32, i32)> {
    if !(factor.is_finite() && factor >= 0.0) {
        return None;
    }
    if factor == 0.0 {
        return Some((0, 0));
    }
    let scale = f64::from(1u32 << bits);
    let (fraction, mut exponent) = libm::frexp(factor); // fraction · 2^exponent, fraction in [½, 1)
    let mut mantissa = libm::round(fraction * scale);
    if mantissa >= scale {
        mantissa /= 2.0;
        exponent += 1;
    }
    Some((mantissa as i32, bits as i32 - exponent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_wide_requantization_is_the_rounded_product(acc in any::<i32>(), factor in 1e-9f64..0.999, bias in any::<i16>()) {
            let r = WideRequant::from_factor(factor).unwrap();
            prop_assert!(r.is_valid());
            prop_assert!((r.factor() / factor - 1.0).abs() < 3e-7);
            // Exact: 31 bits times 22.
            let exact = ((f64::from(acc) * r.factor() + 0.5).floor() + f64::from(bias)).clamp(-32768.0, 32767.0);
            prop_assert_eq!(f64::from(r.apply(acc, bias)), exact);
        }

        #[test]
        fn a_narrow_requantization_is_as_defined(
            acc in any::<i32>(), factor in 1e-7f64..0.5, before in 0u8..16, bias in any::<i16>()
        ) {
            let r = NarrowRequant::from_factor(factor, before).unwrap();
            prop_assert!(r.is_valid());
            let scaled = factor * f64::from(1u32 << before);
            prop_assert!((r.factor() / factor - 1.0).abs() < 1e-4 || scaled < 1e-4);
            let v = ((f64::from(acc) / f64::from(1u32 << before)).floor() + f64::from(bias)).clamp(-32768.0, 32767.0);
            let exact = (v * r.factor() * f64::from(1u32 << before) + 0.5).floor();
            prop_assert_eq!(f64::from(r.apply(acc, bias)), exact);
        }

        #[test]
        fn round_shift_rounds_ties_up(v in -1_000_000i32..1_000_000, s in 1u32..20) {
            let exact = (v as f64 / (1 << s) as f64 + 0.5).floor();
            prop_assert_eq!(round_shift(v, s) as f64, exact);
        }
    }

    #[test]
    fn factors_at_the_edges() {
        assert_eq!(WideRequant::from_factor(0.0).unwrap().apply(i32::MAX, 3), 3);
        assert_eq!(WideRequant::from_factor(1e-30).unwrap().apply(i32::MAX, 0), 0);
        for bad in [-1.0, 1.0, 1.0 - 1e-16, f64::INFINITY] {
            assert!(WideRequant::from_factor(bad).is_none(), "{bad}");
        }
        let nearly_one = WideRequant::from_factor(1.0 - 2.0f64.powi(-22)).unwrap();
        assert_eq!(nearly_one.apply(i32::MIN, i16::MIN), i16::MIN);
        assert_eq!(nearly_one.apply(i32::MAX, i16::MAX), i16::MAX);
        assert!(NarrowRequant::from_factor(1e6, 0).is_none());
        assert!(NarrowRequant::from_factor(0.5, 32).is_none());
        let r = NarrowRequant::from_factor(1.0 - 1e-16, 0).unwrap();
        assert_eq!(
            (r.factor(), r.apply(i32::MIN, i16::MIN), r.apply(i32::MAX, 1)),
            (1.0, -32768, 32767)
        );
    }
}
