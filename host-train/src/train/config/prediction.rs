//! The core's [`Prediction`] as a word of a configuration.

use ancestral::schedule::Prediction;
use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    V,
    X,
}

pub(super) fn serialize<S: Serializer>(prediction: &Prediction, serializer: S) -> Result<S::Ok, S::Error> {
    match prediction {
        Prediction::V => Word::V,
        Prediction::X => Word::X,
    }
    .serialize(serializer)
}

pub(super) fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Prediction, D::Error> {
    Ok(match Word::deserialize(deserializer)? {
        Word::V => Prediction::V,
        Word::X => Prediction::X,
    })
}
