//! The decoder p(x | z_0): discretized levels, or a Gaussian for continuous data.

use crate::number::Number;
use core::marker::PhantomData;

/// The distribution p(x | z_0) of a model, and the constants of the schedule's two ends.
///
/// * Levels (ADC counts, gray levels, bits): `p(k | z_0) ∝ exp(−½ (z_0/α_0 − level_k)² SNR_0)` with the levels spread
///   evenly over [−1, 1] (Kingma et al. 2021, section 3.3). Its logarithm is an honest likelihood of the data.
/// * Continuous data `raw = mean + scale·x`: `p(raw | z_0) = N(x; z_0/α_0, 1/SNR_0)/scale`, a density.
///
/// ```
/// # use ancestral::W8A16;
/// ancestral::include_model!(DIGITS: W8A16 = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-t64-w8a16.vdm"));
/// let decoder = DIGITS.model().decoder();
/// // 17 gray levels over [−1, 1]: an estimate in the middle is level 8.
/// let mut levels = [0; 3];
/// let estimate = [decoder.level_value(0), decoder.level_value(8), decoder.level_value(16)];
/// decoder.decode_levels(&estimate, &mut levels);
/// assert_eq!((decoder.levels, levels), (17, [0, 8, 16]));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Decoder<'a, N: Number> {
    /// Number of levels, or 0 for the Gaussian.
    pub levels: u16,
    /// `1/α_0`.
    pub inverse_alpha: f32,
    /// `SNR_0 = e^−γ_0`.
    pub snr: f32,
    /// `α_T²`.
    pub last_alpha_squared: f32,
    /// `−ln σ_T² = softplus(−γ_T)`.
    pub last_log_variance: f32,
    /// Mean per dimension of continuous data.
    pub mean: &'a [f32],
    /// Scale per dimension of continuous data.
    pub scale: &'a [f32],
    /// Number type of states.
    pub number: PhantomData<N>,
}

/// Smallest logarithm, relative to the largest probability, that is added: e^−30 is below a tenth of f32's last place.
const NEGLIGIBLE: f32 = -30.0;

impl<N: Number> Decoder<'_, N> {
    /// The highest level.
    pub fn last_level(&self) -> u8 {
        self.levels.saturating_sub(1).min(255) as u8
    }

    /// Returns the value of a level in model units.
    pub fn level_value(&self, level: u8) -> N {
        let last = i32::from(self.last_level());
        N::from_ratio(2 * i32::from(level) - last, last.max(1))
    }

    /// Writes the levels nearest to an estimate x̂, D values in model units.
    pub fn decode_levels(&self, estimate: &[N], levels: &mut [u8]) {
        for (level, &x) in levels.iter_mut().zip(estimate) {
            *level = x.level(self.last_level());
        }
    }

    /// Writes the mean of p(x | z_0) of continuous data in raw units, `mean + scale·z_0/α_0`.
    pub fn decode_values(&self, z: &[N], values: &mut [f32]) {
        for ((value, &z), (mean, scale)) in values.iter_mut().zip(z).zip(self.mean.iter().zip(self.scale)) {
            *value = mean + scale * (z.to_f32() * self.inverse_alpha);
        }
    }

    /// Returns `ln p(x | z_0)` in nats, summed over the dimensions.
    ///
    /// * `x`: the data in model units, D values; with levels, each must be the value of a level;
    /// * `z`: z_0, D values.
    pub fn log_likelihood(&self, x: &[N], z: &[N]) -> f32 {
        let mut sum = 0.0;
        if self.levels != 0 {
            for (&x, &z) in x.iter().zip(z) {
                sum += self.log_level(x.level(self.last_level()), z.to_f32() * self.inverse_alpha);
            }
            return sum;
        }
        const LN_2PI: f32 = 1.837_877_1;
        let log_snr = libm::logf(self.snr);
        for ((&x, &z), &scale) in x.iter().zip(z).zip(self.scale) {
            let difference = x.to_f32() - z.to_f32() * self.inverse_alpha;
            sum -= 0.5 * (difference * difference * self.snr + LN_2PI - log_snr) + libm::logf(scale);
        }
        sum
    }

    /// Returns `ln softmax` of one level, summing outward from the level nearest to `center` until the terms vanish.
    fn log_level(&self, level: u8, center: f32) -> f32 {
        let last = f32::from(self.last_level()).max(1.0);
        let value = |k: f32| 2.0 * k / last - 1.0;
        let exponent = |v: f32| -0.5 * self.snr * (v - center) * (v - center);
        let nearest = libm::floorf((center + 1.0) * 0.5 * last + 0.5).clamp(0.0, last);
        let top = exponent(value(nearest));
        let mut total = 1.0;
        for direction in [1.0, -1.0] {
            let mut k = nearest + direction;
            while (0.0..=last).contains(&k) {
                let relative = exponent(value(k)) - top;
                if relative < NEGLIGIBLE {
                    break;
                }
                total += libm::expf(relative);
                k += direction;
            }
        }
        // The grid itself, not the state value nearest to it: the probabilities of all levels then sum to 1.
        exponent(value(f32::from(level))) - top - libm::logf(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Q3_12;
    use crate::schedule::{alpha, snr};

    fn probabilities_sum_to_one<N: Number>() {
        for levels in [2u16, 3, 17, 100, 256] {
            for gamma in [-13.0, -9.0, -4.0, 0.0] {
                let decoder = Decoder::<N> {
                    levels,
                    inverse_alpha: (1.0 / alpha(gamma)) as f32,
                    snr: snr(gamma) as f32,
                    last_alpha_squared: 0.0,
                    last_log_variance: 0.0,
                    mean: &[],
                    scale: &[],
                    number: PhantomData,
                };
                for z in [-1.3f32, -0.7, 0.0, 0.123, 0.991] {
                    let z = [N::from_f32(z)];
                    let total: f64 = (0..=decoder.last_level())
                        .map(|k| libm::exp(f64::from(decoder.log_likelihood(&[decoder.level_value(k)], &z))))
                        .sum();
                    assert!(
                        (total - 1.0).abs() < 2e-3,
                        "{levels} levels, gamma {gamma}, z {z:?}: {total}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_levels_probabilities_sum_to_one() {
        probabilities_sum_to_one::<f32>();
        probabilities_sum_to_one::<Q3_12>();
    }
}
