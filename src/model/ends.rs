//! Sections that hold the two ends of the chain: the decoder's constants and the prior's.

use super::layout::EndPoints;
use super::spec::{DecoderSpec, ModelHead, SpecError};
use crate::level_draw::LevelDraw;
use crate::levels;
use crate::number::Number;
use crate::schedule::{Prediction, alpha, argument_scale, snr, softplus};
use alloc::vec::Vec;

/// Largest change of a standard deviation by rounding, as a share of it: 2 % cost about 4·10⁻⁴ nats per dimension and
/// step.
pub const DEVIATION_TOLERANCE: f64 = 0.02;

impl ModelHead {
    /// Checks that decoder, prediction and data go together.
    pub(super) fn check_decoder(&self) -> Result<(), SpecError> {
        let goes_together = match (&self.decoder, self.prediction) {
            (_, Prediction::Odds { levels }) if levels != self.levels || self.clip => false,
            (DecoderSpec::Network { deviations }, Prediction::Odds { .. }) => deviations.is_empty(),
            (DecoderSpec::Network { .. }, _) => self.levels == 0,
            (DecoderSpec::Factorized, _) => true,
        };
        goes_together.then_some(()).ok_or(SpecError::Decoder)
    }
}

/// Returns the end points.
pub(super) fn end_points<N: Number>(head: &ModelHead, gamma: &[f64], dim: usize) -> Result<EndPoints, SpecError> {
    let [first, .., last] = *gamma else {
        return Err(SpecError::size("gamma"));
    };
    let (mut center_scale, mut decoder_nats) = (1.0 / alpha(first), 0.0);
    if let DecoderSpec::Network { .. } = &head.decoder {
        center_scale = match head.prediction {
            Prediction::Odds { levels } => 1.0 / (argument_scale(levels, first) * snr(first)),
            _ => 1.0,
        };
        if head.levels == 0 {
            let half_ln_2pi = 0.5 * libm::log(2.0 * core::f64::consts::PI);
            // Of the deviations as they are held, so that the density is a normalized one.
            let held = deviations::<N>(head, dim)?.into_iter().map(N::constant_value);
            decoder_nats = held.map(libm::log).sum::<f64>() + half_ln_2pi * dim as f64;
        }
    }
    Ok(EndPoints {
        center_scale: center_scale as f32,
        snr: snr(first) as f32,
        last_alpha_squared: (alpha(last) * alpha(last)) as f32,
        last_log_variance: softplus(-last) as f32,
        decoder_nats: decoder_nats as f32,
        reserved: 0.0,
    })
}

/// Returns the constants for drawing levels.
pub(super) fn level_draw(levels: u16, gamma: &[f64]) -> Result<LevelDraw, SpecError> {
    let &[first, ..] = gamma else {
        return Err(SpecError::size("gamma"));
    };
    let spacing = levels::spacing::<f64>(levels);
    let gain = spacing / argument_scale(levels, first);
    LevelDraw::from_factors(gain, 0.5 * snr(first) * spacing * spacing).ok_or(SpecError::too_large(
        "the signal-to-noise ratio of the decoder",
        "raise gamma_0",
    ))
}

/// Returns the deviations of the network decoder of continuous data, as the runtime holds them; none for others.
pub(super) fn deviations<N: Number>(head: &ModelHead, dim: usize) -> Result<Vec<N::Constant>, SpecError> {
    let DecoderSpec::Network { deviations } = &head.decoder else {
        return Ok(Vec::new());
    };
    if head.levels != 0 {
        return Ok(Vec::new());
    }
    if deviations.len() != dim {
        return Err(SpecError::size("the list of the decoder's deviations"));
    }
    let hold = |&deviation: &f64| {
        let constant = N::wide_constant(deviation).ok_or(SpecError::Spread { step: 0, deviation })?;
        let held = N::constant_value(constant);
        let exact = (held - deviation).abs() <= DEVIATION_TOLERANCE * deviation && held > 0.0;
        exact
            .then_some(constant)
            .ok_or(SpecError::Resolution { step: 0, deviation })
    };
    deviations.iter().map(hold).collect()
}
