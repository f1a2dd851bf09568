//! The posterior of a data level: how an argument η becomes an estimate of the data and a distribution over its levels.
//!
//! Data has K levels `l_k = −1 + k·Δ`, `Δ = 2/(K−1)`. Given z = α·l + σ·ε, Bayes' rule gives a level the weight
//!
//! ```text
//! w_k = exp(l_k·η − ½·l_k²·SNR)         η = (α/σ²)·z + f/Δ
//! ```
//!
//! up to a common factor. The first term of η is what z itself tells, and f is what the other dimensions tell: the
//! log-odds, in nats, of each level against the one below it. With f = 0 every level is equally likely beforehand. The
//! estimate `x̂ = Σ l_k w_k / Σ w_k` is monotone in η and lies between the end levels.

use crate::real::Real;

/// Distance Δ of neighboring levels, `2/(K−1)`.
///
/// * `levels`: K, at least 2.
pub fn spacing<R: Real>(levels: u16) -> R {
    R::from_f64(2.0 / f64::from(levels.saturating_sub(1).max(1)))
}

/// Value of level `index` of K in model units, in [−1, 1].
pub fn value<R: Real>(levels: u16, index: u16) -> R {
    R::from_f64(f64::from(index) * 2.0 / f64::from(levels.saturating_sub(1).max(1)) - 1.0)
}

/// The distribution of a level at one argument η: its moments, and the logarithm of the sum of its weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LevelPosterior<R> {
    /// The estimate `x̂ = ⟨l⟩`.
    pub mean: R,
    /// `⟨l²⟩ − ⟨l⟩²`: the derivative of x̂ by η.
    pub variance: R,
    /// `⟨l²⟩`.
    pub square: R,
    /// `⟨l³⟩ − ⟨l⟩⟨l²⟩`: minus twice the derivative of x̂ by the SNR at a fixed η.
    pub skew: R,
    /// `ln Σ w_k`.
    pub log_total: R,
}

/// Returns the distribution of a level. O(K).
///
/// * `levels`: K, at least 2;
/// * `eta`: the argument η;
/// * `snr`: signal-to-noise ratio of z, `e^−γ`.
pub fn posterior<R: Real>(levels: u16, eta: R, snr: R) -> LevelPosterior<R> {
    let around = Around::new(levels, eta, snr);
    let [total, first, second, third] = around.moments();
    let (origin, two) = (value::<R>(levels, around.nearest), R::from_f64(2.0));
    let variance = second - first * first;
    LevelPosterior {
        mean: origin + first,
        variance,
        square: origin * origin + two * origin * first + second,
        skew: two * origin * variance + third - first * second,
        log_total: origin * (eta - R::from_f64(0.5) * origin * snr) + total.ln(),
    }
}

/// Returns `−ln(w_k / Σ w)` of a level in nats. O(K).
///
/// * `index`: the level, below K; other arguments as for [`posterior`].
pub fn level_nats<R: Real>(levels: u16, index: u16, eta: R, snr: R) -> R {
    let around = Around::new(levels, eta, snr);
    let [total, ..] = around.moments();
    total.ln() - around.log_weight(index)
}

/// The levels as seen from the nearest one, j. The logarithms of two weights nearly cancel where little noise is left,
/// so all is computed from differences to it: `ln(w_k/w_j) = (l_k − l_j)·(η − ½ SNR (l_k + l_j))`, which with
/// `d = l_k − l_j` is `d·(excess − ½ SNR d)`.
struct Around<R> {
    levels: u16,
    nearest: u16,
    /// `η − l_j·SNR`.
    excess: R,
    snr: R,
}

impl<R: Real> Around<R> {
    fn new(levels: u16, eta: R, snr: R) -> Self {
        let nearest = nearest(levels, eta, snr);
        Self {
            levels,
            nearest,
            // The difference of two large numbers.
            excess: R::from_f64(eta.widen() - value::<f64>(levels, nearest) * snr.widen()),
            snr,
        }
    }

    /// Returns `l_k − l_j`.
    fn distance(&self, index: u16) -> R {
        let spacing = spacing::<f64>(self.levels);
        R::from_f64((f64::from(index) - f64::from(self.nearest)) * spacing)
    }

    /// Returns `ln(w_k/w_j)`.
    fn log_weight(&self, index: u16) -> R {
        let d = self.distance(index);
        d * (self.excess - R::from_f64(0.5) * self.snr * d)
    }

    /// Returns `Σ w_k/w_j`, and the mean of the first three powers of `l_k − l_j`.
    fn moments(&self) -> [R; 4] {
        let [mut total, mut first, mut second, mut third] = [R::from_f64(0.0); 4];
        for k in 0..self.levels.max(2) {
            let (weight, d) = (self.log_weight(k).exp(), self.distance(k));
            total = total + weight;
            first = first + weight * d;
            second = second + weight * d * d;
            third = third + weight * d * d * d;
        }
        [total, first / total, second / total, third / total]
    }
}

/// Returns the level of the largest weight: the one nearest to η/SNR.
fn nearest<R: Real>(levels: u16, eta: R, snr: R) -> u16 {
    let last = f64::from(levels.max(2) - 1);
    let place = (eta.widen() / snr.widen() + 1.0) * 0.5 * last + 0.5;
    // A NaN becomes 0: any level serves as the reference.
    place.clamp(0.0, last) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASES: [(u16, f64, f64); 8] = [
        (2, 0.3, 0.1),
        (2, -40.0, 3.0),
        (3, 1.0, 1.0),
        (17, 2.0, 0.05),
        (17, -55.0, 7.0),
        (17, 250.0, 400.0),
        (256, 3.0, 1e-3),
        (256, -700.0, 2000.0),
    ];

    #[test]
    fn the_moments_are_derivatives() {
        for (levels, eta, snr) in CASES {
            let at = |eta: f64, snr: f64| posterior(levels, eta, snr);
            let here = at(eta, snr);
            let h = 1e-4;
            let by_eta = (at(eta + h, snr).mean - at(eta - h, snr).mean) / (2.0 * h);
            assert!((by_eta - here.variance).abs() < 1e-6, "{levels} {eta} {snr}");
            let step = h * snr;
            let by_snr = (at(eta, snr + step).mean - at(eta, snr - step).mean) / (2.0 * step);
            assert!(
                (by_snr + 0.5 * here.skew).abs() < 1e-5 * (1.0 + by_snr.abs()),
                "{levels} {eta} {snr}"
            );
            let by_eta = (at(eta + h, snr).log_total - at(eta - h, snr).log_total) / (2.0 * h);
            assert!((by_eta - here.mean).abs() < 1e-6, "{levels} {eta} {snr}");
        }
    }

    #[test]
    fn two_levels_give_the_hyperbolic_tangent() {
        for eta in [-3.0, -0.2, 0.0, 1.7] {
            assert!((posterior::<f64>(2, eta, 5.0).mean - libm::tanh(eta)).abs() < 1e-12);
        }
    }

    #[test]
    fn probabilities_sum_to_one_and_agree_with_f32() {
        for (levels, eta, snr) in CASES {
            let total: f64 = (0..levels).map(|k| (-level_nats(levels, k, eta, snr)).exp()).sum();
            assert!((total - 1.0).abs() < 1e-9, "{total}");
            let narrow = posterior::<f32>(levels, eta as f32, snr as f32);
            assert!((f64::from(narrow.mean) - posterior(levels, eta, snr).mean).abs() < 1e-4);
        }
    }

    #[test]
    fn f32_is_exact_where_hardly_any_noise_is_left() {
        let snr = crate::schedule::snr(-12.0) as f32;
        let wide = f64::from(snr);
        for levels in [17, 100, 256] {
            for step in -60..60 {
                let eta = (wide * f64::from(step) / 60.3) as f32;
                let (found, exact) = (posterior(levels, eta, snr), posterior(levels, f64::from(eta), wide));
                assert!((f64::from(found.mean) - exact.mean).abs() < 1e-5, "{levels} {step}");
                let off = (f64::from(found.variance) - exact.variance).abs();
                assert!(
                    off < 2e-3 * exact.variance + 1e-12,
                    "{levels} {step}: {found:?} {exact:?}"
                );
                let level = nearest(levels, eta, snr);
                let [found, exact] = [
                    f64::from(level_nats(levels, level, eta, snr)),
                    level_nats(levels, level, f64::from(eta), wide),
                ];
                assert!((found - exact).abs() < 1e-3, "{levels} {step}: {found} {exact}");
            }
        }
    }

    #[test]
    fn ends_are_reached() {
        assert!((posterior::<f64>(17, 500.0, 1.0).mean - 1.0).abs() < 1e-12);
        assert!((posterior::<f64>(17, -500.0, 1.0).mean + 1.0).abs() < 1e-12);
    }
}
