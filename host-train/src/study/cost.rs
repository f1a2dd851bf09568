//! Cost of a step in closed form, from the error of x̂.

use crate::model::variance::LARGEST_DEVIATION;
use ancestral::schedule::{posterior, step_weight};

/// Price of a step's variance beyond what integer formats hold, in nats per unit of its logarithm. They cut it, and
/// samples lose what they cut, but the ELBO hardly notices: as it hardly notices where a long enough chain puts that
/// step. So it need not be high.
const CUT_NATS: f64 = 4.0;

/// Cost of a step with the posterior's own variance: `½ (SNR_s − SNR_t) Σ_d e_d`.
pub(crate) fn posterior_cost(gamma_s: f64, gamma_t: f64, errors: &[f64]) -> f64 {
    step_weight(gamma_s, gamma_t) * errors.iter().sum::<f64>()
}

/// Best variance for a mean squared error, as a multiple of the posterior's own: `1 + (SNR_s − SNR_t) e`.
pub(crate) fn ratio(gamma_s: f64, gamma_t: f64, error: f64) -> f64 {
    1.0 + 2.0 * step_weight(gamma_s, gamma_t) * error
}

/// Cost of a step with the best variance: `½ Σ_d ln(1 + (SNR_s − SNR_t) e_d)`.
pub(crate) fn best_cost(gamma_s: f64, gamma_t: f64, errors: &[f64]) -> f64 {
    errors.iter().map(|e| 0.5 * ratio(gamma_s, gamma_t, *e).ln()).sum()
}

/// Price of what integer formats cut of a step's best variances.
pub(crate) fn cut_price(gamma_s: f64, gamma_t: f64, errors: &[f64]) -> f64 {
    let most = (LARGEST_DEVIATION / posterior(gamma_s, gamma_t).deviation).powi(2);
    let excess = |e: &f64| (ratio(gamma_s, gamma_t, *e) / most).ln().max(0.0);
    CUT_NATS * errors.iter().map(excess).sum::<f64>()
}

/// Cost of a step with any variance: `½ Σ_d [ln r_d + (1 + (SNR_s − SNR_t) e_d)/r_d − 1]`.
pub(crate) fn cost(gamma_s: f64, gamma_t: f64, ratios: &[f64], errors: &[f64]) -> f64 {
    let term = |(r, e): (&f64, &f64)| 0.5 * (r.ln() + ratio(gamma_s, gamma_t, *e) / r - 1.0);
    ratios.iter().zip(errors).map(term).sum()
}

/// Cost of the network decoder of continuous data with any variances: `½ Σ_d [ln(2π v_d) + e_d/v_d]`.
pub(crate) fn decoder_cost(variances: &[f64], errors: &[f64]) -> f64 {
    let term = |(v, e): (&f64, &f64)| 0.5 * ((2.0 * std::f64::consts::PI * v).ln() + e / v);
    variances.iter().zip(errors).map(term).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_integers_cut_has_a_price() {
        // A step from the prior to γ = −1 with a variance of 12 along one direction.
        let (s, t) = (-1.0f64, 6.0f64);
        let own = posterior(s, t).deviation.powi(2);
        let error = |variance: f64| (variance / own - 1.0) / (2.0 * step_weight(s, t));
        assert_eq!(cut_price(s, t, &[error(3.9), error(1.0)]), 0.0);
        let price = cut_price(s, t, &[error(12.0), error(1.0)]);
        let expected = CUT_NATS * (12.0 / LARGEST_DEVIATION.powi(2)).ln();
        assert!((price - expected).abs() < 1e-9, "{price} {expected}");
    }

    #[test]
    fn the_best_variance_is_the_best() {
        let (s, t) = (-2.0, 1.0);
        let errors = [0.01, 0.2, 1.5];
        let best: Vec<f64> = errors.iter().map(|e| ratio(s, t, *e)).collect();
        let least = cost(s, t, &best, &errors);
        assert!((least - best_cost(s, t, &errors)).abs() < 1e-12);
        assert!((cost(s, t, &[1.0; 3], &errors) - posterior_cost(s, t, &errors)).abs() < 1e-12);
        for factor in [0.7, 0.95, 1.05, 1.6] {
            let other: Vec<f64> = best.iter().map(|r| r * factor).collect();
            assert!(cost(s, t, &other, &errors) > least);
        }
    }
}
