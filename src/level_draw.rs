//! Drawing a level of the network decoder with integers alone.
//!
//! With the argument u of the read-out, the log-odds of level k + 1 against level k fall linearly in k:
//!
//! ```text
//! d_k = gain·u − curvature·(2k + 2 − K)        gain = Δ/c, curvature = ½ SNR_0 Δ²
//! ```
//!
//! So the most likely level is found by bisection, and the weights of its neighbors by adding up.

use crate::number::Number;
use rand_core::Rng;

/// Number of fraction bits of log-odds.
const FRACTION_BITS: u32 = 32;
/// Number of fraction bits of a weight: the most likely level has the weight one.
const WEIGHT_BITS: u32 = 20;
/// Log-odds beyond which a weight rounds to nothing, in nats.
const NEGLIGIBLE: i64 = 14 << FRACTION_BITS;
/// log₂ e with thirty fraction bits.
const LOG2_E: u64 = 1_549_082_005;

/// The distribution of a level as a function of the argument u.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct LevelDraw {
    /// Log-odds in nats of neighboring levels in a unit of u, with 32 fraction bits.
    pub gain: i64,
    /// Half of the fall of the log-odds from one level to the next, in nats with 32 fraction bits.
    pub curvature: i64,
}

impl LevelDraw {
    /// Bits that a gain and a curvature may have, so that no product overflows.
    const MAX_BITS: u32 = 46;

    /// Returns the nearest constants to real ones, or `None` if one is negative or not finite.
    ///
    /// Constants that are too large are made smaller together: the nearest level is then all but certain anyway.
    pub fn from_factors(gain: f64, curvature: f64) -> Option<Self> {
        let largest = (1u64 << (Self::MAX_BITS - FRACTION_BITS)) as f64 - 1.0;
        let share = (largest / gain.max(curvature)).min(1.0);
        let fixed = |value: f64| libm::round(value * share * (1u64 << FRACTION_BITS) as f64);
        let draw = Self {
            gain: fixed(gain) as i64,
            curvature: fixed(curvature) as i64,
        };
        (gain.is_finite() && curvature.is_finite() && draw.is_valid()).then_some(draw)
    }

    /// Returns whether the constants are in range; the model parser refuses a file in which they are not.
    pub const fn is_valid(self) -> bool {
        self.gain >= 0
            && self.gain >> Self::MAX_BITS == 0
            && self.curvature >= 0
            && self.curvature >> Self::MAX_BITS == 0
    }

    /// Returns the most likely level.
    ///
    /// * `last`: the highest level;
    /// * `u`: the argument.
    pub fn mode<N: Number>(&self, last: u8, u: N) -> u8 {
        self.bisect(last, self.slope(u))
    }

    /// Draws a level. Takes one word from the generator.
    pub fn draw<N: Number, R: Rng + ?Sized>(&self, last: u8, u: N, rng: &mut R) -> u8 {
        let slope = self.slope(u);
        let mode = self.bisect(last, slope);
        let mut total = 0u32;
        self.for_each(last, slope, mode, |_, weight| {
            total = total.wrapping_add(weight);
            true
        });
        let word = rng.next_u32();
        let mut rest = ((u64::from(word) * u64::from(total)) >> 32) as u32;
        let mut drawn = mode;
        self.for_each(last, slope, mode, |level, weight| {
            drawn = level;
            let (less, ended) = rest.overflowing_sub(weight);
            rest = less;
            !ended
        });
        drawn
    }

    /// Returns `gain·u`.
    fn slope<N: Number>(&self, u: N) -> i64 {
        i64::from(u.to_fixed().0).wrapping_mul(self.gain) >> crate::fixed::STATE_BITS
    }

    /// Returns `d_k`.
    fn log_odds(&self, last: u8, slope: i64, k: u8) -> i64 {
        let place = 2 * i64::from(k) + 1 - i64::from(last);
        slope.wrapping_sub(self.curvature.wrapping_mul(place))
    }

    /// Returns the number of levels that the next one is more likely than.
    fn bisect(&self, last: u8, slope: i64) -> u8 {
        let (mut low, mut high) = (0, last);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.log_odds(last, slope, middle) > 0 {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Visits the levels with a weight: the most likely one, those above it upwards, those below it downwards. Stops
    /// when `visit` returns false.
    fn for_each(&self, last: u8, slope: i64, mode: u8, mut visit: impl FnMut(u8, u32) -> bool) {
        if !visit(mode, 1 << WEIGHT_BITS) {
            return;
        }
        let (mut level, mut depth) = (mode, 0i64);
        while level < last {
            depth = depth.saturating_sub(self.log_odds(last, slope, level).min(0));
            level += 1;
            if depth >= NEGLIGIBLE {
                break;
            }
            if !visit(level, exp_minus(depth)) {
                return;
            }
        }
        (level, depth) = (mode, 0);
        while level > 0 {
            level -= 1;
            depth = depth.saturating_add(self.log_odds(last, slope, level).max(0));
            if depth >= NEGLIGIBLE || !visit(level, exp_minus(depth)) {
                return;
            }
        }
    }
}

/// `e^−depth` with 20 fraction bits, to 10⁻⁴ of itself and half of its last place.
///
/// * `depth`: in nats with 32 fraction bits, at least 0 and below [`NEGLIGIBLE`].
fn exp_minus(depth: i64) -> u32 {
    // In powers of two with 16 fraction bits, split at the nearest whole number.
    let octaves = ((depth as u64 >> 12).wrapping_mul(LOG2_E) >> 34) as u32;
    let whole = octaves.wrapping_add(1 << 15) >> 16;
    let rest = octaves.wrapping_sub(whole << 16) as i32;
    // 2^−rest for rest in [−½, ½): the Taylor polynomial of degree 4, in 28 fraction bits.
    const COEFFICIENTS: [i64; 5] = [268_435_456, -186_065_279, 64_485_375, -14_899_277, 2_581_828];
    let mut value = 0i64;
    for &coefficient in COEFFICIENTS.iter().rev() {
        value = coefficient.wrapping_add(value.wrapping_mul(i64::from(rest)) >> 16);
    }
    let shift = (28 - WEIGHT_BITS).wrapping_add(whole) & 63;
    (value.wrapping_add(1 << (shift.wrapping_sub(1) & 63)) >> shift) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Q3_12;
    use crate::levels;
    use crate::schedule::{argument_scale, snr};
    use rand_xoshiro::{Xoshiro128PlusPlus, rand_core::SeedableRng};

    fn constants(levels: u16, gamma: f64) -> LevelDraw {
        let spacing = levels::spacing::<f64>(levels);
        let gain = spacing / argument_scale(levels, gamma);
        LevelDraw::from_factors(gain, 0.5 * snr(gamma) * spacing * spacing).unwrap()
    }

    #[test]
    fn the_exponential_is_one() {
        for nats in [0.0, 1e-4, 0.2, 0.3466, 0.35, 0.69, 1.0, 2.5, 7.0, 13.9] {
            let found = f64::from(exp_minus((nats * 4_294_967_296.0) as i64)) / f64::from(1 << WEIGHT_BITS);
            let exact = libm::exp(-nats);
            assert!((found - exact).abs() < 1e-4 * exact + 1e-6, "{nats}: {found} {exact}");
        }
    }

    #[test]
    fn levels_are_drawn_with_their_probabilities() {
        let mut rng = Xoshiro128PlusPlus::seed_from_u64(3);
        const DRAWS: u32 = 40_000;
        for (levels, gamma, u) in [
            (2, -1.0, 0.4),
            (17, -2.0, 0.6),
            (17, 1.0, -1.5),
            (17, -2.0, -3.0),
            (256, -4.0, 0.2),
        ] {
            let u = Q3_12::from_f32(u);
            let draw = constants(levels, gamma);
            let last = (levels - 1) as u8;
            let eta = f64::from(u.to_f32()) / argument_scale(levels, gamma);
            let mut counts = [0u32; 256];
            (0..DRAWS).for_each(|_| counts[usize::from(draw.draw(last, u, &mut rng))] += 1);
            let mut likeliest = (0u16, f64::INFINITY);
            for (k, &count) in (0..levels).zip(&counts) {
                let nats = levels::level_nats(levels, k, eta, snr(gamma));
                if nats < likeliest.1 {
                    likeliest = (k, nats);
                }
                let expected = f64::from(DRAWS) * libm::exp(-nats);
                let deviation = libm::sqrt(expected) + 1.0;
                assert!(
                    (f64::from(count) - expected).abs() < 5.0 * deviation,
                    "{levels} {k}: {count} {expected}"
                );
            }
            assert_eq!(u16::from(draw.mode(last, u)), likeliest.0);
        }
    }

    #[test]
    fn the_largest_constants_overflow_nothing() {
        let largest = (1i64 << LevelDraw::MAX_BITS) - 1;
        let draw = LevelDraw {
            gain: largest,
            curvature: largest,
        };
        assert!(draw.is_valid());
        let mut rng = Xoshiro128PlusPlus::seed_from_u64(1);
        for u in [i16::MIN, -1, 0, i16::MAX] {
            for last in [1, 255] {
                assert!(draw.draw(last, Q3_12(u), &mut rng) <= last);
            }
        }
        assert!(LevelDraw::from_factors(-1.0, 0.0).is_none());
        assert!(LevelDraw::from_factors(f64::INFINITY, 0.0).is_none());
        let large = LevelDraw::from_factors(1e9, 2.5e8).unwrap();
        assert!(large.is_valid() && (large.gain as f64 / large.curvature as f64 - 4.0).abs() < 1e-9);
    }
}
