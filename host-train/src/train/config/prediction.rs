//! Words of a configuration for what the network's output means and for how a row is decoded.

use crate::data::ValueKind;
use crate::model::read_out::ReadOut;
use ancestral::schedule::Prediction;
use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

/// Meaning of the network's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PredictionKind {
    /// `v = α ε − σ x`.
    V,
    /// The data.
    X,
    /// Log-odds of each level against the one below, as the other dimensions tell.
    Odds,
}

impl PredictionKind {
    fn name(self) -> &'static str {
        match self {
            Self::V => "v",
            Self::X => "x",
            Self::Odds => "odds",
        }
    }
}

/// Kind of p(x | z_0).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DecoderKind {
    /// The network, called once more, at t = 0.
    #[default]
    Network,
    /// Each dimension from its own z_0 alone.
    Factorized,
}

/// Returns the read-out of a configuration for a kind of data.
///
/// * `bounded`: continuous data has a range, −1 to 1 in model units.
///
/// # Errors
/// Fails if prediction, decoder, clip and data exclude each other.
pub(in crate::train) fn read_out(
    prediction: PredictionKind,
    decoder: DecoderKind,
    clip: bool,
    kind: &ValueKind,
    bounded: bool,
) -> Result<ReadOut> {
    let word = prediction.name();
    let prediction = match (prediction, kind) {
        (PredictionKind::Odds, ValueKind::Levels { levels }) => Prediction::Odds { levels: *levels },
        (PredictionKind::V, _) => Prediction::V,
        (PredictionKind::X, _) => Prediction::X,
        (PredictionKind::Odds, ValueKind::Continuous { .. }) => anyhow::bail!(
            "model.prediction is \"odds\", but the data is continuous and odds are of levels: set it to \"v\", or \
             give data.levels"
        ),
    };
    match (prediction, kind) {
        (Prediction::Odds { .. }, _) => ensure!(
            !clip,
            "model.clip is true with model.prediction = \"odds\", whose estimates lie between the end levels by \
             themselves: remove model.clip"
        ),
        (_, ValueKind::Levels { .. }) => ensure!(
            decoder == DecoderKind::Factorized,
            "model.prediction is \"{word}\" and the data has levels, which the network decodes only from odds: set \
             model.prediction to \"odds\" or model.decoder to \"factorized\""
        ),
        (_, ValueKind::Continuous { .. }) => ensure!(
            !clip || bounded,
            "model.clip is true, but the data is continuous and has no range to clip to: set it to false, or give \
             data.range"
        ),
    }
    Ok(ReadOut { prediction, clip })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(prediction: PredictionKind, decoder: DecoderKind, clip: bool, kind: &ValueKind) -> String {
        read_out(prediction, decoder, clip, kind, false)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn what_excludes_each_other_is_named() {
        use DecoderKind::{Factorized, Network};
        use PredictionKind::{Odds, V, X};
        let levels = ValueKind::Levels { levels: 5 };
        let values = ValueKind::Continuous {
            mean: vec![0.0],
            scale: vec![1.0],
        };
        assert!(error(Odds, Network, false, &values).contains("data is continuous and odds are of levels"));
        assert!(error(Odds, Network, true, &levels).contains("remove model.clip"));
        assert!(error(V, Network, true, &levels).contains("model.decoder to \"factorized\""));
        assert!(error(X, Factorized, true, &values).contains("no range to clip to"));
        for (prediction, decoder, clip, kind) in [
            (Odds, Network, false, &levels),
            (Odds, Factorized, false, &levels),
            (X, Factorized, true, &levels),
            (V, Network, false, &values),
            (V, Factorized, false, &values),
        ] {
            let found = read_out(prediction, decoder, clip, kind, false).unwrap();
            assert_eq!(found.clip, clip);
        }
        assert!(read_out(V, Network, true, &values, true).unwrap().clip);
        let odds = read_out(Odds, Network, false, &levels, false).unwrap();
        assert_eq!(odds.prediction, Prediction::Odds { levels: 5 });
    }
}
