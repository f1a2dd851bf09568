//! Numbers of which states are made, and the arithmetic of a step.
//!
//! Two implementations serve every format: `f32` for the float formats and [`Q3_12`] for the integer ones. The
//! sampler, the ELBO and the decoder are written once over [`Number`].

use crate::fixed::{CONSTANT_BITS, CONSTANT_ONE, STATE_BITS, STATE_ONE, round_shift, saturate};
use crate::noise;
use crate::read_out::{LevelTable, ReadOut};
use crate::schedule::StepConstants;
use rand_core::Rng;

/// A state value and its arithmetic.
pub trait Number: bytemuck::Pod + PartialOrd + Default + core::fmt::Debug + Send + Sync {
    /// A constant of the step table.
    type Constant: bytemuck::Pod + Default + core::fmt::Debug + Send + Sync;

    /// Returns the nearest value; saturates.
    fn from_f32(value: f32) -> Self;
    /// Converts exactly.
    fn to_f32(self) -> f32;
    /// Returns the nearest value to `numerator / denominator`, in integer arithmetic if the format is an integer. Used
    /// for the grid of data levels, whose values lie in [−1, 1]. `denominator` > 0.
    fn from_ratio(numerator: i32, denominator: i32) -> Self;
    /// Returns a constant of the schedule, or `None` if the format cannot hold it.
    fn constant(value: f64) -> Option<Self::Constant>;
    /// Returns the value of a constant.
    fn constant_value(constant: Self::Constant) -> f64;
    /// `a·x + b·y`, one rounding if the format is an integer.
    fn mix2(a: Self::Constant, x: Self, b: Self::Constant, y: Self) -> Self;
    /// `a·x + b·y + c·w`, one rounding if the format is an integer.
    fn mix3(a: Self::Constant, x: Self, b: Self::Constant, y: Self, c: Self::Constant, w: Self) -> Self;
    /// Returns a constant of magnitude below two, or `None` if the format cannot hold it: a standard deviation of the
    /// reverse step, which may exceed one in a direction in which the data is widely spread.
    fn wide_constant(value: f64) -> Option<Self::Constant>;
    /// `a·x`, one rounding if the format is an integer.
    fn scale(a: Self::Constant, x: Self) -> Self;
    /// `Σ a_i x_i` in order, one rounding if the format is an integer.
    fn dot(a: impl Iterator<Item = Self::Constant>, x: &[Self]) -> Self;
    /// `x − y`, saturating if the format is an integer.
    fn minus(self, other: Self) -> Self;
    /// Draws from the standard normal; takes exactly one 32-bit word from the generator.
    fn normal<R: Rng + ?Sized>(rng: &mut R) -> Self;
    /// Returns the estimate x̂ for the argument u.
    fn read_out(self, read_out: ReadOut<'_>) -> Self;
    /// Returns the nearest value in Q3.12.
    fn to_fixed(self) -> Q3_12;
    /// Returns max(0, x) if `relu`, else x.
    fn rectified(self, relu: bool) -> Self;
    /// Sum, saturating if the format is an integer.
    fn plus(self, other: Self) -> Self;
    /// `Σ (a_d − b_d)²`, exact up to the final conversion if the format is an integer.
    fn squared_distance(a: &[Self], b: &[Self]) -> f32;
    /// Index of the nearest of `last + 1` values spread evenly over [−1, 1]: `⌊(x + 1)·last/2 + ½⌋`, clamped.
    fn level(self, last: u8) -> u8;
}

impl Number for f32 {
    type Constant = f32;

    fn from_f32(value: f32) -> Self {
        value
    }
    fn to_f32(self) -> f32 {
        self
    }
    fn from_ratio(numerator: i32, denominator: i32) -> Self {
        numerator as f32 / denominator as f32
    }
    fn constant(value: f64) -> Option<f32> {
        value.is_finite().then_some(value as f32)
    }
    fn constant_value(constant: f32) -> f64 {
        f64::from(constant)
    }
    #[inline(always)]
    fn mix2(a: f32, x: f32, b: f32, y: f32) -> f32 {
        a * x + b * y
    }
    #[inline(always)]
    fn mix3(a: f32, x: f32, b: f32, y: f32, c: f32, w: f32) -> f32 {
        a * x + b * y + c * w
    }
    fn wide_constant(value: f64) -> Option<f32> {
        Self::constant(value)
    }
    #[inline(always)]
    fn scale(a: f32, x: f32) -> f32 {
        a * x
    }
    fn dot(a: impl Iterator<Item = f32>, x: &[f32]) -> f32 {
        a.zip(x).fold(0.0, |sum, (a, x)| sum + a * x)
    }
    fn minus(self, other: f32) -> f32 {
        self - other
    }
    fn normal<R: Rng + ?Sized>(rng: &mut R) -> f32 {
        noise::to_f32(noise::normal_q28(rng.next_u32()))
    }
    #[inline(always)]
    fn read_out(self, read_out: ReadOut<'_>) -> Self {
        match read_out {
            ReadOut::Identity => self,
            ReadOut::Clip => self.clamp(-1.0, 1.0),
            ReadOut::Levels(table) => {
                let scaled = libm::fabsf(self) * f32::from(STATE_ONE);
                let held = if scaled < f32::from(LevelTable::LAST) {
                    scaled
                } else {
                    f32::from(LevelTable::LAST)
                };
                let whole = held as u32;
                let interval = table.interval(whole);
                let distance = interval.distance as f32 + (held - whole as f32);
                let rise = interval.rise as f32 * distance / (1u32 << interval.width_bits) as f32;
                libm::copysignf((interval.low as f32 + rise) / f32::from(CONSTANT_ONE), self)
            }
        }
    }
    fn to_fixed(self) -> Q3_12 {
        Q3_12::from_f32(self)
    }
    #[inline(always)]
    fn rectified(self, relu: bool) -> Self {
        // Not `f32::max`: the order of the comparison fixes what happens to −0 and NaN on every core.
        if self > 0.0 || !relu { self } else { 0.0 }
    }
    fn plus(self, other: f32) -> f32 {
        self + other
    }
    fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + (a - b) * (a - b))
    }
    fn level(self, last: u8) -> u8 {
        let index = (self + 1.0) * (0.5 * f32::from(last)) + 0.5;
        // `as` truncates, saturates and takes NaN to 0: no branch can panic.
        (index as u8).min(last)
    }
}

/// A fixed-point state value: Q3.12, ±8 in steps of 2⁻¹².
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(transparent)]
pub struct Q3_12(
    /// Value times 4096.
    pub i16,
);

/// The factor in a product: the value times 4096.
impl From<Q3_12> for i32 {
    #[inline(always)]
    fn from(q: Q3_12) -> i32 {
        i32::from(q.0)
    }
}

impl Number for Q3_12 {
    type Constant = i16;

    fn from_f32(value: f32) -> Self {
        // Same rounding rule as everywhere: floor(x + ½). `as` saturates.
        Self(libm::floorf(value * f32::from(STATE_ONE) + 0.5) as i16)
    }
    fn to_f32(self) -> f32 {
        f32::from(self.0) / f32::from(STATE_ONE)
    }
    fn from_ratio(numerator: i32, denominator: i32) -> Self {
        let doubled = 2 * numerator * i32::from(STATE_ONE) + denominator;
        Self(saturate(doubled.div_euclid((2 * denominator).max(1))))
    }
    fn constant(value: f64) -> Option<i16> {
        let scaled = libm::floor(value * f64::from(CONSTANT_ONE) + 0.5);
        // One is the largest magnitude a step may have: three products then fit 32 bits.
        (libm::fabs(scaled) <= f64::from(CONSTANT_ONE)).then_some(scaled as i16)
    }
    fn constant_value(constant: i16) -> f64 {
        f64::from(constant) / f64::from(CONSTANT_ONE)
    }
    #[inline(always)]
    fn mix2(a: i16, x: Self, b: i16, y: Self) -> Self {
        let sum = product(a, x).wrapping_add(product(b, y));
        Self(saturate(round_shift(sum, CONSTANT_BITS)))
    }
    #[inline(always)]
    fn mix3(a: i16, x: Self, b: i16, y: Self, c: i16, w: Self) -> Self {
        let sum = product(a, x).wrapping_add(product(b, y)).wrapping_add(product(c, w));
        Self(saturate(round_shift(sum, CONSTANT_BITS)))
    }
    fn wide_constant(value: f64) -> Option<i16> {
        let scaled = libm::floor(value * f64::from(CONSTANT_ONE) + 0.5);
        (libm::fabs(scaled) <= f64::from(i16::MAX)).then_some(scaled as i16)
    }
    #[inline(always)]
    fn scale(a: i16, x: Self) -> Self {
        Self(saturate(round_shift(product(a, x), CONSTANT_BITS)))
    }
    fn dot(a: impl Iterator<Item = i16>, x: &[Self]) -> Self {
        // 64 bits: with hundreds of dimensions the partial sums may leave 32.
        let sum = a
            .zip(x)
            .fold(0i64, |sum, (a, &x)| sum.wrapping_add(i64::from(product(a, x))));
        let rounded = sum.wrapping_add(1 << (CONSTANT_BITS - 1)) >> CONSTANT_BITS;
        Self(rounded.clamp(i64::from(i16::MIN), i64::from(i16::MAX)) as i16)
    }
    fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
    fn normal<R: Rng + ?Sized>(rng: &mut R) -> Self {
        Self::normal_from_word(rng.next_u32())
    }
    #[inline(always)]
    fn read_out(self, read_out: ReadOut<'_>) -> Self {
        match read_out {
            ReadOut::Identity => self,
            ReadOut::Clip => Self(self.0.clamp(-STATE_ONE, STATE_ONE)),
            ReadOut::Levels(table) => {
                let magnitude = self.0.unsigned_abs().min(LevelTable::LAST);
                let interval = table.interval(u32::from(magnitude));
                // At most 2¹⁵·2¹⁰ and 2¹⁶·2¹⁰.
                let scaled = (interval.low << interval.width_bits)
                    .wrapping_add(interval.rise.wrapping_mul(interval.distance as i32));
                let value = saturate(round_shift(scaled, interval.width_bits + LevelTable::EXTRA_BITS));
                Self(if self.0 < 0 { value.wrapping_neg() } else { value })
            }
        }
    }
    #[inline(always)]
    fn to_fixed(self) -> Self {
        self
    }
    #[inline(always)]
    fn rectified(self, relu: bool) -> Self {
        // One loop serves both kinds of layer.
        Self(self.0.max(if relu { 0 } else { i16::MIN }))
    }
    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
    fn squared_distance(a: &[Self], b: &[Self]) -> f32 {
        let mut sum = 0u64;
        for (a, b) in a.iter().zip(b) {
            let difference = i32::from(a.0).abs_diff(i32::from(b.0));
            sum = sum.wrapping_add(u64::from(difference) * u64::from(difference));
        }
        sum as f32 / (f32::from(STATE_ONE) * f32::from(STATE_ONE))
    }
    fn level(self, last: u8) -> u8 {
        let sum = (i32::from(self.0) + i32::from(STATE_ONE)) * i32::from(last) + i32::from(STATE_ONE);
        (sum >> (STATE_BITS + 1)).clamp(0, i32::from(last)) as u8
    }
}

impl Q3_12 {
    /// Converts a word to a normal.
    // Compiled once, and not in every loop that draws.
    #[inline(never)]
    fn normal_from_word(word: u32) -> Self {
        Self(round_shift(noise::normal_q28(word), noise::FRACTION_BITS - STATE_BITS) as i16)
    }
}

#[inline(always)]
fn product(constant: i16, value: Q3_12) -> i32 {
    i32::from(constant) * i32::from(value.0)
}

impl<C: Copy> StepConstants<C> {
    /// Rounds the record to another number format.
    ///
    /// # Errors
    ///
    /// The index of the first constant that the format cannot hold.
    pub fn quantize<N: Number>(&self) -> Result<StepConstants<N::Constant>, usize>
    where
        C: Into<f64>,
    {
        let mut out = [N::Constant::default(); 8];
        for (index, (to, from)) in out.iter_mut().zip(self.to_array()).enumerate() {
            *to = N::constant(from.into()).ok_or(index)?;
        }
        Ok(StepConstants::from_array(out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn integer_mix_follows_the_real_one(
            a in -1.0f64..=1.0, b in -1.0f64..=1.0, c in -1.0f64..=1.0,
            x in any::<i16>(), y in any::<i16>(), w in any::<i16>(),
        ) {
            let [ca, cb, cc] = [a, b, c].map(|v| Q3_12::constant(v).unwrap());
            let exact = (f64::from(ca) * f64::from(x) + f64::from(cb) * f64::from(y) + f64::from(cc) * f64::from(w)) / 16384.0;
            let got = Q3_12::mix3(ca, Q3_12(x), cb, Q3_12(y), cc, Q3_12(w));
            prop_assert_eq!(f64::from(got.0), (exact + 0.5).floor().clamp(-32768.0, 32767.0));
        }

        #[test]
        fn both_formats_find_the_nearest_level(levels in 2u16..=256, x in -6.0f32..6.0) {
            let last = (levels - 1) as u8;
            let x = Q3_12::from_f32(x);
            let exact = ((f64::from(x.to_f32()) + 1.0) * f64::from(last) / 2.0).clamp(0.0, f64::from(last));
            prop_assert_eq!(f64::from(x.level(last)), (exact + 0.5).floor());
            prop_assert!((f64::from(x.to_f32().level(last)) - exact).abs() <= 0.5 + 1e-4);
        }
    }

    #[test]
    fn levels_survive_the_round_trip() {
        for levels in [2u16, 3, 17, 100, 256] {
            let last = (levels - 1) as u8;
            for k in 0..=last {
                let numerator = 2 * i32::from(k) - i32::from(last);
                let q = Q3_12::from_ratio(numerator, i32::from(last));
                let f = f32::from_ratio(numerator, i32::from(last));
                assert_eq!(q.level(last), k);
                assert_eq!(f.level(last), k);
                assert!((q.to_f32() - f).abs() <= 0.5 / 4096.0 + 1e-7);
            }
        }
    }

    #[test]
    fn constants_beyond_one_are_refused() {
        assert_eq!(Q3_12::constant(1.0), Some(16384));
        assert_eq!(Q3_12::constant(-1.0), Some(-16384));
        assert_eq!(Q3_12::constant(1.1), None);
        assert_eq!(Q3_12::constant(f64::NAN), None);
        assert_eq!(f32::constant(f64::INFINITY), None);
    }
}
