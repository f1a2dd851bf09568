//! The shipped models that every machine must agree on.

use std::path::PathBuf;

use ancestral::FormatId;

use crate::paths;

/// Shipped models of the digits that every machine must draw the same bytes with: each number format, and a reverse
/// variance per direction.
pub fn names() -> Vec<String> {
    let formats = FormatId::ALL.iter().map(|id| format!("digits-t64-{id}"));
    formats.chain(["digits-t8-w8a16".to_owned()]).collect()
}

/// Path of a shipped model.
pub fn path(name: &str) -> PathBuf {
    paths::root().join(format!("models/{name}.vdm"))
}
