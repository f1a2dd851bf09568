//! Writing a run into a checkpoint.

use super::file::{Contents, write};
use crate::data::ValueKind;
use crate::train::run::Run;
use anyhow::Result;
use std::collections::HashMap;
use std::path::Path;

impl Run {
    /// Writes a training checkpoint.
    pub fn save(&self, path: &Path) -> Result<()> {
        let states = self
            .optimizer
            .slots
            .iter()
            .map(|slot| (slot.parameter.name.clone(), slot.state.clone()));
        let mut metadata = describe(self)?;
        metadata.insert("step".into(), self.optimizer.step.to_string());
        metadata.insert("rng".into(), serde_json::to_string(&self.rng)?);
        metadata.insert("pending".into(), serde_json::to_string(&self.pending)?);
        write(path, Contents::Training, states.collect(), metadata)
    }

    /// Writes the averaged parameters alone.
    pub fn save_weights(&self, path: &Path) -> Result<()> {
        let mut tensors = Vec::new();
        for slot in &self.optimizer.slots {
            tensors.push((slot.parameter.name.clone(), slot.average()?));
        }
        write(path, Contents::Weights, tensors, describe(self)?)
    }
}

/// Returns the metadata that every checkpoint of a run has.
fn describe(run: &Run) -> Result<HashMap<String, String>> {
    let mut metadata = HashMap::from([
        ("config".to_owned(), run.config.to_toml()?),
        ("dim".to_owned(), run.dim.to_string()),
    ]);
    match &run.kind {
        ValueKind::Continuous { mean, scale } => {
            metadata.insert("mean".into(), serde_json::to_string(mean)?);
            metadata.insert("scale".into(), serde_json::to_string(scale)?);
        }
        ValueKind::Levels { levels } => {
            metadata.insert("levels".into(), levels.to_string());
        }
    }
    Ok(metadata)
}
