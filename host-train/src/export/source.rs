//! Models and data by the paths that a user names.

use crate::data::{self, DataSpec, Split};
use crate::export::fold::float_spec;
use crate::runtime::model_file::ModelFile;
use crate::train::checkpoint::Run;
use crate::train::config::Config;
use anyhow::{Context, Result};
use candle_core::Device;
use std::path::Path;

/// Loads the data that `own` names, or else the `[data]` of a configuration.
pub fn load_data(own: impl FnOnce() -> Result<DataSpec>, config: Option<&Path>) -> Result<Split> {
    match config {
        Some(path) => Ok(data::load(&Config::read(path)?.data, Path::new(""))?),
        None => data::load(&own()?, Path::new("")).context(
            "the data that the model was made from cannot be loaded here (name a configuration with --config)",
        ),
    }
}

/// Reads a checkpoint with its averaged parameters in place, and its data.
pub fn load_run(checkpoint: &Path, config: Option<&Path>) -> Result<(Run, Split)> {
    let run = Run::averaged(checkpoint, &Device::Cpu)?;
    let split = load_data(|| Ok(run.config.data.clone()), config)?;
    Ok((run, split))
}

/// Reads a model file, or makes one in `f32` from a checkpoint or the folder of a run.
pub fn open_model(path: &Path) -> Result<ModelFile> {
    if names_model(path) {
        return ModelFile::read(path);
    }
    float_model(&Run::averaged(path, &Device::Cpu)?, path)
}

/// Makes a model file in `f32`, in memory.
pub fn float_model(run: &Run, name: &Path) -> Result<ModelFile> {
    ModelFile::from_bytes(&float_spec(run)?.to_bytes()?, name.display().to_string())
}

/// Makes the paths of a run's data begin at the folder of `file`, a model file to be made of it.
pub fn keep_data_from(run: &mut Run, file: &Path) {
    run.config.data = run.config.data.relative_to(file.parent().unwrap_or(Path::new("")));
}

/// A checkpoint is a safetensors file or a folder. Everything else should be a model, whose parser says what is wrong.
fn names_model(path: &Path) -> bool {
    !path.is_dir() && path.extension().is_none_or(|e| e != "safetensors")
}
