//! Writing a run into a checkpoint.

use super::file::{Contents, GAINS, REFITTED, best_name, write};
use crate::data::ValueKind;
use crate::train::run::Run;
use anyhow::Result;
use std::collections::HashMap;
use std::path::Path;

impl Run {
    /// Writes a training checkpoint.
    pub fn save(&self, path: &Path) -> Result<()> {
        let slots = &self.optimizer.slots;
        let mut tensors: Vec<_> = slots
            .iter()
            .map(|slot| (slot.parameter.name.clone(), slot.state.clone()))
            .collect();
        let mut metadata = describe(self, path)?;
        metadata.insert("step".into(), self.optimizer.step.to_string());
        metadata.insert("rng".into(), serde_json::to_string(&self.rng)?);
        metadata.insert("pending".into(), serde_json::to_string(&self.pending)?);
        metadata.insert("since_best".into(), self.validations.since_best.to_string());
        if let Some(best) = &self.validations.best {
            metadata.insert("best".into(), serde_json::to_string(&best.validation)?);
            let named = slots.iter().zip(&best.weights);
            tensors.extend(named.map(|(slot, weights)| (best_name(&slot.parameter.name), weights.clone())));
        }
        write(path, Contents::Training, tensors, metadata)
    }

    /// Writes the final weights alone.
    pub fn save_weights(&self, path: &Path) -> Result<()> {
        let names = self.optimizer.slots.iter().map(|slot| slot.parameter.name.clone());
        let tensors = names.zip(self.final_weights()?).collect();
        write(path, Contents::Weights, tensors, describe(self, path)?)
    }
}

/// Returns the metadata that every checkpoint of a run has. Paths of data begin at the checkpoint's folder.
fn describe(run: &Run, path: &Path) -> Result<HashMap<String, String>> {
    let mut config = run.config.clone();
    config.data = config.data.relative_to(path.parent().unwrap_or(Path::new("")));
    let mut metadata = HashMap::from([
        ("config".to_owned(), config.to_toml()?),
        ("dim".to_owned(), run.dim.to_string()),
    ]);
    if run.refitted {
        metadata.insert(REFITTED.into(), String::new());
    }
    if let Some(gains) = run.network.gains() {
        metadata.insert(GAINS.into(), serde_json::to_string(gains)?);
    }
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
