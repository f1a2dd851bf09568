//! The decoder p(x | z_0): discretized levels, or a Gaussian for continuous data; factorized, or by the network.

use crate::level_draw::LevelDraw;
use crate::number::Number;
use crate::reverse_variance::{add_noise_along, standard_square};
use core::marker::PhantomData;
use rand_core::Rng;

/// Choice of a sample from p(x | z_0).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Decoding {
    /// Drawn: a true sample of the model.
    #[default]
    Draw,
    /// The most likely value of each dimension: sharper and less varied.
    Mode,
}

/// The distribution p(x | z_0) of a model, and the constants of the schedule's two ends.
///
/// It depends on z_0 through an argument per dimension. For the factorized decoder the argument is z_0 itself. For the
/// network decoder it is the argument of the read-out at t = 0 for levels, and x̂(z_0, 0) for continuous data.
///
/// * Levels (ADC counts, gray levels, bits): `p(k | z_0) ∝ exp(−½ (center − level_k)² SNR_0)` with the levels spread
///   evenly over [−1, 1] and `center = argument·center_scale`, which is z_0/α_0 if factorized (Kingma et al. 2021,
///   section 3.3) and η/SNR_0 if by the network ([`levels`](crate::levels)). Its logarithm is an honest likelihood.
/// * Continuous data `raw = mean + scale·x`: a density, factorized `N(x; z_0/α_0, 1/SNR_0)/scale`, or by the network
///   `N(x; x̂(z_0, 0), U diag(deviation²) Uᵀ)/scale`.
///
/// ```
/// # use ancestral::W8A16;
/// ancestral::include_model!(DIGITS: W8A16 = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-t8-w8a16.vdm"));
/// let decoder = DIGITS.model().decoder();
/// // 17 gray levels over [−1, 1]: an estimate in the middle is level 8.
/// let mut levels = [0; 3];
/// let estimate = [decoder.level_value(0), decoder.level_value(8), decoder.level_value(16)];
/// decoder.nearest_levels(&estimate, &mut levels);
/// assert_eq!((decoder.levels, levels), (17, [0, 8, 16]));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Decoder<'a, N: Number> {
    /// Number of levels, or 0 for the Gaussian.
    pub levels: u16,
    /// The argument comes from the network.
    pub network: bool,
    /// Factor from the argument to the center of the distribution.
    pub center_scale: f32,
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
    /// Constants from which the network decoder draws levels.
    pub draw: LevelDraw,
    /// Standard deviations of the network decoder of continuous data, one per direction of the basis.
    pub deviations: &'a [N::Constant],
    /// Basis of the deviations, row-major, `D × D`: column d is a direction. Empty for the identity.
    pub basis: &'a [N::Constant],
    /// Part of `−ln p(x | z_0)` that the deviations alone determine, in nats.
    pub nats: f32,
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
    pub fn nearest_levels(&self, estimate: &[N], levels: &mut [u8]) {
        for (level, &x) in levels.iter_mut().zip(estimate) {
            *level = x.level(self.last_level());
        }
    }

    /// Takes a sample from the network decoder.
    ///
    /// * `argument`: D values, overwritten by the sample in model units;
    /// * `noise`: D values, overwritten;
    /// * `levels`: overwritten by the sample's levels; left alone if the data is continuous.
    ///
    /// [`Decoding::Draw`] takes D words from the generator, [`Decoding::Mode`] none.
    pub fn sample<R: Rng + ?Sized>(
        &self,
        decoding: Decoding,
        argument: &mut [N],
        noise: &mut [N],
        levels: &mut [u8],
        rng: &mut R,
    ) {
        if self.levels == 0 {
            if decoding == Decoding::Draw {
                add_noise_along(self.deviations, self.basis, argument, noise, rng);
            }
            return;
        }
        let last = self.last_level();
        for (level, x) in levels.iter_mut().zip(argument) {
            *level = match decoding {
                Decoding::Draw => self.draw.draw(last, *x, rng),
                Decoding::Mode => self.draw.mode(last, *x),
            };
            *x = self.level_value(*level);
        }
    }

    /// Writes continuous data in raw units, `mean + scale·x`.
    ///
    /// * `x`: D values: a sample of the network decoder, or z_0 of the factorized one.
    pub fn decode_values(&self, x: &[N], values: &mut [f32]) {
        for ((value, &x), (mean, scale)) in values.iter_mut().zip(x).zip(self.mean.iter().zip(self.scale)) {
            *value = mean + scale * (x.to_f32() * self.center_scale);
        }
    }

    /// Returns `ln p(x | z_0)` in nats, summed over the dimensions.
    ///
    /// * `x`: the data in model units, D values; with levels, each must be the value of a level;
    /// * `argument`: D values, overwritten.
    pub fn log_likelihood(&self, x: &[N], argument: &mut [N]) -> f32 {
        let mut sum = 0.0;
        if self.levels != 0 {
            for (&x, &u) in x.iter().zip(argument.iter()) {
                sum += self.log_level(x.level(self.last_level()), u.to_f32() * self.center_scale);
            }
            return sum;
        }
        if self.network {
            for (u, &x) in argument.iter_mut().zip(x) {
                *u = x.minus(*u);
            }
            sum = -0.5 * standard_square(self.deviations, self.basis, 1.0, argument) - self.nats;
            return self.scale.iter().fold(sum, |sum, &scale| sum - libm::logf(scale));
        }
        const LN_2PI: f32 = 1.837_877_1;
        let log_snr = libm::logf(self.snr);
        for ((&x, &z), &scale) in x.iter().zip(argument.iter()).zip(self.scale) {
            let difference = x.to_f32() - z.to_f32() * self.center_scale;
            sum -= 0.5 * (difference * difference * self.snr + LN_2PI - log_snr) + libm::logf(scale);
        }
        sum
    }

    /// Returns `ln softmax` of one level, summing outward from the level nearest to `center` until the terms vanish.
    fn log_level(&self, level: u8, center: f32) -> f32 {
        let last = f32::from(self.last_level()).max(1.0);
        // The grid itself, not the state value nearest to it: the probabilities of all levels then sum to 1.
        let value = |k: f32| 2.0 * k / last - 1.0;
        let nearest = libm::floorf((center + 1.0) * 0.5 * last + 0.5).clamp(0.0, last);
        let top = value(nearest);
        // A difference of squares, without their cancellation far from the grid.
        let relative = |k: f32| {
            let v = value(k);
            self.snr * (v - top) * (center - 0.5 * (v + top))
        };
        let mut total = 1.0;
        for direction in [1.0, -1.0] {
            let mut k = nearest + direction;
            while (0.0..=last).contains(&k) {
                let relative = relative(k);
                if relative < NEGLIGIBLE {
                    break;
                }
                total += libm::expf(relative);
                k += direction;
            }
        }
        relative(f32::from(level)) - libm::logf(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Q3_12;
    use crate::levels::level_nats;
    use crate::schedule::{alpha, argument_scale, snr};

    fn decoder<N: Number>(levels: u16, gamma: f64, network: bool) -> Decoder<'static, N> {
        let scale = match network {
            true => 1.0 / (argument_scale(levels, gamma) * snr(gamma)),
            false => 1.0 / alpha(gamma),
        };
        Decoder {
            levels,
            network,
            center_scale: scale as f32,
            snr: snr(gamma) as f32,
            last_alpha_squared: 0.0,
            last_log_variance: 0.0,
            mean: &[],
            scale: &[],
            draw: LevelDraw::default(),
            deviations: &[],
            basis: &[],
            nats: 0.0,
            number: PhantomData,
        }
    }

    fn probabilities_sum_to_one<N: Number>() {
        for levels in [2u16, 3, 17, 100, 256] {
            for (gamma, network) in [(-13.0, false), (-9.0, false), (-4.0, true), (0.0, false), (2.0, true)] {
                let decoder = decoder::<N>(levels, gamma, network);
                for z in [-7.3f32, -1.3, -0.7, 0.0, 0.123, 0.991] {
                    let z = N::from_f32(z);
                    let nats = |k| -f64::from(decoder.log_likelihood(&[decoder.level_value(k)], &mut [z]));
                    let total: f64 = (0..=decoder.last_level()).map(|k| libm::exp(-nats(k))).sum();
                    assert!(
                        (total - 1.0).abs() < 2e-3,
                        "{levels} levels, gamma {gamma}, z {z:?}: {total}"
                    );
                    if network {
                        let eta = f64::from(z.to_f32()) / argument_scale(levels, gamma);
                        let exact = level_nats(levels, levels / 2, eta, snr(gamma));
                        let found = nats((levels / 2) as u8);
                        assert!(
                            (found - exact).abs() < 1e-3 * (1.0 + exact),
                            "{levels} {gamma}: {found} {exact}"
                        );
                    }
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
