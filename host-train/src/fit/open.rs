//! A run as training begins with it: configuration, data, folder, and the parameters to start from.

use crate::data::{self, Split};
use crate::progress::Progress;
use crate::study::warm_start::continue_from;
use crate::train::Run;
use crate::train::checkpoint::CHECKPOINT;
use crate::train::config::Config;
use crate::train::device;
use anyhow::{Context, Result, bail, ensure};
use candle_core::Device;
use std::path::{Path, PathBuf};

/// Parameters that a run starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Random ones.
    New,
    /// Those of the checkpoint in the run's own folder.
    Resume,
    /// Those of another checkpoint or run, with the steps that suit them best.
    From(PathBuf),
}

/// A run as a user asks for it.
#[derive(Clone, Debug)]
pub struct RunRequest {
    /// The configuration (TOML).
    pub config: PathBuf,
    /// Folder of the run, or `runs/<name of the configuration>`.
    pub out: Option<PathBuf>,
    /// Parameters to start from.
    pub start: Start,
    /// Number of optimizer steps in place of the configuration's.
    pub steps: Option<u64>,
    /// Number of chain steps in place of the configuration's.
    pub chain_steps: Option<usize>,
    /// Seed in place of the configuration's.
    pub seed: Option<u64>,
    /// Train on the GPU.
    pub cuda: bool,
}

/// A run that is ready to be trained.
pub struct OpenRun {
    /// The run.
    pub run: Run,
    /// Its data.
    pub split: Split,
    /// Its folder.
    pub folder: PathBuf,
}

impl RunRequest {
    /// Name of the configuration, without folder and extension.
    pub fn name(&self) -> Result<String> {
        let stem = self.config.file_stem().context("the configuration has no name")?;
        Ok(stem.to_string_lossy().into_owned())
    }

    /// Folder of the run.
    pub fn folder(&self) -> Result<PathBuf> {
        match &self.out {
            Some(out) => Ok(out.clone()),
            None => Ok(Path::new("runs").join(self.name()?)),
        }
    }

    /// Reads the configuration, with what the user asks for in place of its own settings.
    fn read_config(&self) -> Result<Config> {
        let mut config = Config::read(&self.config)?;
        if let Some(steps) = self.steps {
            config.train.steps = steps;
        }
        if let Some(steps) = self.chain_steps {
            ensure!(
                (1..=65_534).contains(&steps),
                "--chain-steps {steps}: between 1 and 65534 is possible"
            );
            config.model.steps = steps;
        }
        if let Some(seed) = self.seed {
            config.seed = seed;
        }
        Ok(config)
    }
}

/// Loads the data and opens the run.
///
/// # Errors
///
/// If the configuration or the data cannot be used, or a run to start from does not fit them.
pub fn open_run(request: &RunRequest, progress: &Progress) -> Result<OpenRun> {
    let mut config = request.read_config()?;
    let folder = request.folder()?;
    let device = device::select_device(request.cuda)?;
    device::require_counter_rng(&mut config, &device);
    let split = data::load(&config.data, Path::new(""))?;
    config.data.keep_columns(&split.train.columns);
    let run = match &request.start {
        Start::New => Run::for_data(config, &split, &device)?,
        Start::Resume => resume(config, &request.config, &folder.join(CHECKPOINT), &device)?,
        Start::From(base) => continue_from(config, base, &split, &device, progress)?,
    };
    Ok(OpenRun { run, split, folder })
}

/// Resumes the run of a checkpoint. The optimization may change from here on, but not the model and its data.
fn resume(config: Config, path: &Path, checkpoint: &Path, device: &Device) -> Result<Run> {
    let mut run = Run::resume(checkpoint, device)?;
    let differs = [
        ("seed", run.config.seed != config.seed),
        ("[data]", !run.config.data.gives_rows_of(&config.data)),
        ("[model]", run.config.model != config.model),
    ];
    if let Some((part, _)) = differs.iter().find(|(_, differs)| *differs) {
        bail!(
            "{part} of {} differs from what {} was trained with: use the same, or train anew in another --out folder",
            path.display(),
            checkpoint.display()
        );
    }
    run.set_train(config.train);
    Ok(run)
}
