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
    let zero = R::from_f64(0.0);
    let top = log_weight(levels, nearest(levels, eta, snr), eta, snr);
    let [mut total, mut first, mut second, mut third] = [zero; 4];
    for k in 0..levels.max(2) {
        let l = value::<R>(levels, k);
        let weight = (log_weight(levels, k, eta, snr) - top).exp();
        total = total + weight;
        first = first + weight * l;
        second = second + weight * l * l;
        third = third + weight * l * l * l;
    }
    let (mean, square) = (first / total, second / total);
    LevelPosterior {
        mean,
        variance: square - mean * mean,
        square,
        skew: third / total - mean * square,
        log_total: top + total.ln(),
    }
}

/// Returns `−ln(w_k / Σ w)` of a level in nats. O(K).
///
/// * `index`: the level, below K; other arguments as for [`posterior`].
pub fn level_nats<R: Real>(levels: u16, index: u16, eta: R, snr: R) -> R {
    posterior(levels, eta, snr).log_total - log_weight(levels, index, eta, snr)
}

/// Returns `ln w_k`.
fn log_weight<R: Real>(levels: u16, index: u16, eta: R, snr: R) -> R {
    let l = value::<R>(levels, index);
    l * (eta - R::from_f64(0.5) * l * snr)
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
    fn ends_are_reached() {
        assert!((posterior::<f64>(17, 500.0, 1.0).mean - 1.0).abs() < 1e-12);
        assert!((posterior::<f64>(17, -500.0, 1.0).mean + 1.0).abs() < 1e-12);
    }
}
