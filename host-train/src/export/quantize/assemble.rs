//! Model specifications around other layers.

use super::formats::IntegerFormat;
use super::integers::IntegerNetwork;
use super::teacher::Teacher;
use crate::model::variance::LARGEST_DEVIATION;
use ancestral::fixed::CONSTANT_ONE;
use ancestral::model::{AlignedBytes, DEVIATION_TOLERANCE, DecoderSpec, LayerSpec, ModelSpec, VarianceSpec};
use ancestral::number::Number;
use ancestral::schedule::posterior;
use ancestral::{F32, Model};
use anyhow::Result;

/// Measures the cost of the integer network's error at each of its calls, in nats per row; see [`Teacher::damage`].
pub fn damage<F: IntegerFormat>(
    float: &ModelSpec<F32>,
    quantized: &IntegerNetwork<F>,
    teacher: &Teacher,
) -> Result<Vec<f64>> {
    let bytes = AlignedBytes::new(&assemble(float, quantized.clone()).to_bytes()?);
    Ok(teacher.damage(&Model::<F>::parse(&bytes)?))
}

/// Returns the model with an integer network in place of its own.
pub fn assemble<F: IntegerFormat>(float: &ModelSpec<F32>, network: IntegerNetwork<F>) -> ModelSpec<F> {
    let mut spec = with_layers(float, network.layers);
    spec.head.exponents = network.exponents;
    spec
}

/// Returns the head of the float model around layers of another format.
pub fn with_layers<F: ancestral::Format>(float: &ModelSpec<F32>, layers: Vec<LayerSpec<F>>) -> ModelSpec<F> {
    let mut head = float.head.clone();
    head.variance = head.variance.map(|v| cut_to_range::<F::Number>(&v, &head.gamma));
    if let DecoderSpec::Network { deviations } = &mut head.decoder {
        for deviation in deviations.iter_mut().filter(|v| v.is_finite()) {
            *deviation = hold_deviation::<F::Number>(*deviation);
        }
    }
    ModelSpec { head, layers }
}

/// Returns the deviation of a decoder, moved into the range of the number format: down to the largest that it holds, or
/// up to the next that it holds well enough. The file's own ELBO counts it.
fn hold_deviation<N: Number>(deviation: f64) -> f64 {
    match N::wide_constant(deviation).map(N::constant_value) {
        None => LARGEST_DEVIATION,
        Some(held) if (held - deviation).abs() <= DEVIATION_TOLERANCE * deviation => deviation,
        Some(_) => {
            let unit = f64::from(CONSTANT_ONE);
            (deviation * unit).ceil().max(1.0) / unit
        }
    }
}

/// Cuts the deviations that the number format cannot hold to the largest that it can.
///
/// That happens in a direction in which the data is widely spread, at the step from the prior. If the variance is cut
/// by the factor q, it costs `½ (q − 1 − ln q)` nats there: 0.12 for a deviation of 2.74. The file's own ELBO counts
/// it.
fn cut_to_range<N: Number>(variance: &VarianceSpec, gamma: &[f32]) -> VarianceSpec {
    let steps = gamma.len().saturating_sub(1).max(1);
    let dim = (variance.ratios.len() / steps).max(1);
    let mut held = variance.clone();
    for (ratios, pair) in held.ratios.chunks_mut(dim).zip(gamma.windows(2)) {
        let &[s, t] = pair else { continue };
        let own = posterior(f64::from(s), f64::from(t)).deviation;
        for ratio in ratios.iter_mut().filter(|r| r.is_finite()) {
            if N::wide_constant(own * ratio.sqrt()).is_none() {
                *ratio = (LARGEST_DEVIATION / own).powi(2);
            }
        }
    }
    held
}

#[cfg(test)]
mod tests {
    use super::*;
    use ancestral::Q3_12;

    #[test]
    fn deviations_are_moved_into_the_range_of_the_format() {
        let unit = f64::from(CONSTANT_ONE);
        // In units of the last place.
        for (deviation, held) in [
            (2.7 * unit, 32_767.0),
            (30.4, 30.4),
            (7.0, 7.0),
            (7.2, 8.0),
            (0.01, 1.0),
        ] {
            assert_eq!(hold_deviation::<Q3_12>(deviation / unit), held / unit);
            assert_eq!(hold_deviation::<f32>(deviation / unit), deviation / unit);
        }
    }
}
