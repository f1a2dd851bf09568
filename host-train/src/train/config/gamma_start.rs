//! Where the ends of γ begin, and how far they may go.

use super::prediction::DecoderKind;
use super::schema::ModelConfig;
use crate::data::ValueKind;
use crate::model::gamma::{GammaBounds, LEAST_SPAN, MOST_FIRST, MOST_LAST};
use anyhow::{Result, ensure};

/// γ_T of continuous data at which the prior term of unit variance is 0.001 nats/dim. Samples begin from the standard
/// normal, so below that they lack variance, which the ELBO hardly notices.
pub const LEAST_LAST: f64 = 6.22;
/// Least γ_0, down to which Q1.14 holds the deviation of the noise of z_0 within 2 %. The likelihood of values that
/// hardly vary would send it further down for ever.
pub const LEAST_FIRST: f64 = -13.0;

/// Least γ_0 that a configuration can give a table that is not learned.
const LEAST_GAMMA: f64 = -20.0;

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
    /// A γ_0 that follows from the data is at least −13, and so is one that is learned.
    ///
    /// # Errors
    /// Fails if γ_0 is not below γ_T, or one of them is out of its range.
    pub fn gamma_start(&self, kind: &ValueKind) -> Result<GammaStart> {
        let (first, last) = match (kind, self.decoder) {
            (ValueKind::Levels { levels }, decoder) => {
                let log_square = 2.0 * (2.0 / f64::from(levels.saturating_sub(1).max(1))).ln();
                let below = match decoder {
                    DecoderKind::Factorized => 3.9,
                    DecoderKind::Network => 2.0,
                };
                ((log_square - below).max(LEAST_FIRST), 6.0)
            }
            (ValueKind::Continuous { .. }, DecoderKind::Factorized) => (-8.0, 7.0),
            (ValueKind::Continuous { .. }, DecoderKind::Network) => (-6.0, 7.0),
        };
        let (first, last) = (self.gamma_first.unwrap_or(first), self.gamma_last.unwrap_or(last));
        check_ends(first, last)?;
        if !self.learn_gamma {
            let bounds = GammaBounds::default();
            return Ok(GammaStart { first, last, bounds });
        }
        let bounds = GammaBounds {
            first: Some(LEAST_FIRST),
            last: self.last_bound(kind),
        };
        let first = first.max(LEAST_FIRST);
        check_ends(first, last)?;
        Ok(GammaStart { first, last, bounds })
    }

    /// Returns the least γ_T for a kind of data, if there is one.
    pub fn last_bound(&self, kind: &ValueKind) -> Option<f64> {
        match kind {
            ValueKind::Levels { .. } => self.gamma_last_bound,
            ValueKind::Continuous { .. } => Some(self.gamma_last_bound.unwrap_or(LEAST_LAST)),
        }
    }
}

/// Checks that the ends of γ are apart and in range.
pub(super) fn check_ends(first: f64, last: f64) -> Result<()> {
    ensure!(
        first.is_finite() && last.is_finite() && first + LEAST_SPAN <= last,
        "model.gamma_first = {first} must be below model.gamma_last = {last} by at least {LEAST_SPAN}"
    );
    let range = |name: &str, value: f64, greatest: f64| {
        ensure!(
            (LEAST_GAMMA..=greatest).contains(&value),
            "model.{name} = {value}: between {LEAST_GAMMA} and {greatest} is possible"
        );
        Ok(())
    };
    range("gamma_first", first, MOST_FIRST)?;
    range("gamma_last", last, MOST_LAST)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::config::Config;
    use ancestral::Q3_12;
    use ancestral::number::Number;

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
            let bounds = GammaBounds {
                first: Some(LEAST_FIRST),
                last: None,
            };
            assert_eq!((start.last, start.bounds), (6.0, bounds));
            start.first
        };
        for (levels, factorized, network) in [(2, -2.5, -0.6), (17, -8.1, -6.2), (256, -13.0, -11.7)] {
            assert!((first(levels, DecoderKind::Factorized) - factorized).abs() < 0.05);
            assert!((first(levels, DecoderKind::Network) - network).abs() < 0.05);
        }
    }

    #[test]
    fn the_deviation_at_the_least_gamma_fits_the_constants() {
        for step in 0..1000 {
            let sigma = ancestral::schedule::sigma(LEAST_FIRST + f64::from(step) / 1000.0);
            let held = Q3_12::wide_constant(sigma).map(Q3_12::constant_value);
            assert!((held.unwrap() - sigma).abs() <= 0.02 * sigma, "{step}");
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
        // Only a γ that is not learned goes below the bound.
        let low = |learn: bool| {
            let chosen = model(|m| (m.gamma_first, m.learn_gamma) = (Some(-16.0), learn));
            chosen.gamma_start(&LEVELS(17)).unwrap().first
        };
        assert_eq!((low(true), low(false)), (LEAST_FIRST, -16.0));
        let error = model(|m| m.gamma_last = Some(-5.5))
            .gamma_start(&LEVELS(17))
            .unwrap_err();
        assert!(
            error.to_string().contains("must be below model.gamma_last = -5.5"),
            "{error}"
        );
        let error = model(|m| m.gamma_last = Some(60.0))
            .gamma_start(&LEVELS(17))
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("gamma_last = 60: between -20 and 16 is possible"),
            "{error}"
        );
    }
}
