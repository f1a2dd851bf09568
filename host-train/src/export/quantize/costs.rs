//! Cost of an error of the integer network at each of its calls.

use ancestral::levels::posterior;
use ancestral::schedule::{Prediction, argument_scale, snr};
use ancestral::{F32, Model};

/// Cost of an error of x̂ at each call of the network, and of an error of the network decoder.
pub struct Costs {
    /// Nats of one unit of a squared component of the error, `calls × D`: half the square of pull by spread at a step,
    /// and half the reciprocal of the variance at the decoder of continuous data. 0 at the decoder of levels.
    pub weights: Vec<f64>,
    /// Matrix whose columns are the directions of the components, row-major, `D × D`; empty for the state's own.
    pub basis: Vec<f64>,
    /// The network decoder of levels, if the model has one.
    pub level_decoder: Option<LevelDecoder>,
    dim: usize,
}

/// The network decoder of levels: the distribution of a level as a function of the argument.
#[derive(Clone, Copy, Debug)]
pub struct LevelDecoder {
    levels: u16,
    /// Argument u in one unit of η.
    scale: f64,
    snr: f64,
}

impl LevelDecoder {
    fn new(model: &Model<'_, F32>) -> Option<Self> {
        let Prediction::Odds { levels } = model.header().prediction else {
            return None;
        };
        let first = f64::from(*model.step_table().gamma.first()?);
        model.header().network_decoder.then(|| Self {
            levels,
            scale: argument_scale(levels, first),
            snr: snr(first),
        })
    }

    /// Returns the KL divergence of the distributions at two arguments, `KL(p(·|u) ‖ p(·|other))` in nats.
    pub fn divergence(&self, u: f32, other: f32) -> f64 {
        let [eta, other] = [u, other].map(|u| f64::from(u) / self.scale);
        let [p, q] = [eta, other].map(|eta| posterior(self.levels, eta, self.snr));
        // Of an exponential family; rounding may leave it below 0.
        (q.log_total - p.log_total - (other - eta) * p.mean).max(0.0)
    }
}

impl Costs {
    /// Reads the costs off a float model.
    pub fn new(model: &Model<'_, F32>) -> Self {
        let (table, dim, decoder) = (model.step_table(), model.dim(), model.decoder());
        let weight = |t: usize, d: usize| match &table.reverse_variance {
            _ if t == 0 => decoder.deviations.get(d).map_or(0.0, |&v| 0.5 / f64::from(v).powi(2)),
            None => f64::from(table.weight.get(t).copied().unwrap_or(0.0)),
            Some(variance) => {
                let spread = variance.spreads_at(t, dim).get(d).copied().unwrap_or(f32::INFINITY);
                let pull = table.constants_at(t).map_or(0.0, |c| c.pull);
                0.5 * f64::from(pull / spread).powi(2)
            }
        };
        let first = usize::from(!model.header().network_decoder);
        Self {
            weights: (first..=table.steps())
                .flat_map(|t| (0..dim).map(move |d| (t, d)))
                .map(|(t, d)| weight(t, d))
                .collect(),
            basis: decoder.basis.iter().map(|&u| f64::from(u)).collect(),
            level_decoder: LevelDecoder::new(model),
            dim,
        }
    }

    /// Cost of the answer `found` at a call of the network where `wanted` is right.
    ///
    /// * `call`: 0 for the network decoder, or for step 1 without one;
    /// * `wanted`, `found`: x̂, or at the decoder of levels the argument; D values each.
    pub fn nats(&self, call: usize, wanted: &[f32], found: &[f32]) -> f64 {
        let pairs = wanted.iter().zip(found);
        if let (0, Some(decoder)) = (call, &self.level_decoder) {
            return pairs.map(|(&u, &other)| decoder.divergence(u, other)).sum();
        }
        let error: Vec<f64> = pairs.map(|(a, b)| f64::from(b - a)).collect();
        let weights = self.weights.iter().skip(call * self.dim).take(self.dim);
        let along = |d: usize| -> f64 {
            if self.basis.is_empty() {
                return error.get(d).copied().unwrap_or(0.0);
            }
            let column = self.basis.iter().skip(d).step_by(self.dim);
            column.zip(&error).map(|(u, e)| u * e).sum()
        };
        weights.enumerate().map(|(d, w)| w * along(d).powi(2)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ancestral::levels::level_nats;

    #[test]
    fn the_divergence_is_that_of_the_probabilities() {
        let decoder = LevelDecoder {
            levels: 17,
            scale: 0.1,
            snr: 30.0,
        };
        for (u, other) in [(0.3f32, 0.35f32), (-1.2, -0.9), (0.0, 0.0), (2.0, 7.9)] {
            let nats = |u: f32, k| level_nats(17, k, f64::from(u) / 0.1, 30.0);
            let sum: f64 = (0..17)
                .map(|k| (-nats(u, k)).exp() * (nats(other, k) - nats(u, k)))
                .sum();
            let found = decoder.divergence(u, other);
            assert!((found - sum).abs() < 1e-9 * (1.0 + sum), "{u} {other}: {found} {sum}");
        }
    }
}
