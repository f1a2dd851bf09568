//! A list in a configuration that is written as one text if it has one entry.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "a text or a list of texts is needed")]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// Writes a list.
pub(super) fn serialize<S: Serializer>(list: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    match list {
        [only] => OneOrMany::One(only.clone()),
        _ => OneOrMany::Many(list.to_vec()),
    }
    .serialize(serializer)
}

/// Reads a list.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(only) => vec![only],
        OneOrMany::Many(list) => list,
    })
}
