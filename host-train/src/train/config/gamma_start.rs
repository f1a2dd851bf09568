//! Where the ends of γ begin, and how far they may go.

use super::prediction::DecoderKind;
use super::schema::ModelConfig;
use crate::data::ValueKind;
use crate::model::gamma::{GammaBounds, LEAST_SPAN};
use anyhow::{Result, ensure};

/// γ_T of continuous data at which the prior term of unit variance is 0.001 nats/dim. Samples begin from the standard
/// normal, so below that they lack variance, which the ELBO hardly notices.
pub const LEAST_LAST: f64 = 6.22;
/// Least γ_0 of continuous data, at which the noise of z_0 is as fine as a state in Q3.12. The likelihood of values
/// that hardly vary would send it further down for ever.
pub const LEAST_FIRST: f64 = -16.0;

/// Values of γ_0 and γ_T at the beginning of training, and their bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GammaStart {
    /// γ_0.
    pub first: f64,
    /// γ_T.
    pub last: f64,
    /// Bounds that the ends keep while they are learned.
    pub bounds: GammaBounds,
}

impl ModelConfig {
    /// Returns where γ begins for a kind of data. What the configuration leaves out follows from the data:
    ///
    /// | data | decoder | γ_0 | γ_T |
    /// |---|---|---|---|
    /// | levels, Δ apart | factorized: z_0 alone tells the levels apart | 2 ln Δ − 3.9 | 6 |
    /// | levels, Δ apart | network: the other dimensions help | 2 ln Δ − 2 | 6 |
    /// | continuous | factorized | −8 | 7 |
    /// | continuous | network | −6 | 7 |
    ///
    /// # Errors
    /// Fails if γ_0 is not below γ_T.
    pub fn gamma_start(&self, kind: &ValueKind) -> Result<GammaStart> {
        let (first, last) = match (kind, self.decoder) {
            (ValueKind::Levels { levels }, decoder) => {
                let log_square = 2.0 * (2.0 / f64::from(levels.saturating_sub(1).max(1))).ln();
                let below = match decoder {
                    DecoderKind::Factorized => 3.9,
                    DecoderKind::Network => 2.0,
                };
                (log_square - below, 6.0)
            }
            (ValueKind::Continuous { .. }, DecoderKind::Factorized) => (-8.0, 7.0),
            (ValueKind::Continuous { .. }, DecoderKind::Network) => (-6.0, 7.0),
        };
        let (first, last) = (self.gamma_first.unwrap_or(first), self.gamma_last.unwrap_or(last));
        check_ends(first, last)?;
        let bounds = match (self.learn_gamma, kind) {
            (false, _) => GammaBounds::default(),
            (true, ValueKind::Levels { .. }) => GammaBounds {
                first: None,
                last: self.gamma_last_bound,
            },
            (true, ValueKind::Continuous { .. }) => GammaBounds {
                first: Some(LEAST_FIRST),
                last: Some(self.gamma_last_bound.unwrap_or(LEAST_LAST)),
            },
        };
        Ok(GammaStart { first, last, bounds })
    }
}

/// Checks that the ends of γ are apart.
pub(super) fn check_ends(first: f64, last: f64) -> Result<()> {
    ensure!(
        first.is_finite() && last.is_finite() && first + LEAST_SPAN <= last,
        "model.gamma_first = {first} must be below model.gamma_last = {last} by at least {LEAST_SPAN}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::config::Config;

    fn model(change: impl Fn(&mut ModelConfig)) -> ModelConfig {
        let mut model = Config::parse(include_str!("../../../configs/digits.toml"))
            .unwrap()
            .model;
        (model.gamma_first, model.gamma_last) = (None, None);
        change(&mut model);
        model
    }

    const LEVELS: fn(u16) -> ValueKind = |levels| ValueKind::Levels { levels };

    #[test]
    fn levels_decide_where_gamma_begins() {
        let first = |levels: u16, decoder: DecoderKind| {
            let start = model(|m| m.decoder = decoder).gamma_start(&LEVELS(levels)).unwrap();
            assert_eq!((start.last, start.bounds), (6.0, GammaBounds::default()));
            start.first
        };
        for (levels, factorized, network) in [(2, -2.5, -0.6), (17, -8.1, -6.2), (256, -13.6, -11.7)] {
            assert!((first(levels, DecoderKind::Factorized) - factorized).abs() < 0.05);
            assert!((first(levels, DecoderKind::Network) - network).abs() < 0.05);
        }
    }

    #[test]
    fn continuous_data_keeps_its_variance() {
        let kind = ValueKind::Continuous {
            mean: vec![0.0],
            scale: vec![1.0],
        };
        let start = model(|_| {}).gamma_start(&kind).unwrap();
        assert!(start.last > LEAST_LAST && start.bounds.last == Some(LEAST_LAST));
        let prior = ancestral::schedule::prior_nats(LEAST_LAST, 1.0, 1);
        assert!(prior < 0.001 && prior > 0.0009, "{prior}");
        let other = model(|m| m.gamma_last_bound = Some(5.0)).gamma_start(&kind).unwrap();
        assert_eq!(other.bounds.last, Some(5.0));
        let fixed = model(|m| m.learn_gamma = false).gamma_start(&kind).unwrap();
        assert_eq!(fixed.bounds, GammaBounds::default());
    }

    #[test]
    fn a_configuration_goes_before_the_data_and_ends_must_not_cross() {
        let start = model(|m| m.gamma_first = Some(-3.0)).gamma_start(&LEVELS(17)).unwrap();
        assert_eq!((start.first, start.last), (-3.0, 6.0));
        let error = model(|m| m.gamma_last = Some(-5.5))
            .gamma_start(&LEVELS(17))
            .unwrap_err();
        assert!(
            error.to_string().contains("must be below model.gamma_last = -5.5"),
            "{error}"
        );
    }
}
