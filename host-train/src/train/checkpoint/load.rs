//! Reading a run from a checkpoint.

use super::file::{CHECKPOINT, CheckpointFile, Contents, GAINS, REFITTED, WEIGHTS, best_name};
use crate::data::ValueKind;
use crate::model::gain::GainCurve;
use crate::optimizer::Slot;
use crate::train::config::Config;
use crate::train::run::Run;
use crate::train::validations::{BestWeights, ValidationRecord};
use anyhow::{Context, Result, bail, ensure};
use candle_core::{Device, Shape, Tensor};
use std::path::{Path, PathBuf};

impl Run {
    /// Reads a training checkpoint to continue from.
    pub fn resume(path: &Path, device: &Device) -> Result<Self> {
        let (run, contents) = read(path, device)?;
        ensure!(
            contents == Contents::Training,
            "{} holds only weights and cannot be resumed: use the run's {CHECKPOINT}",
            path.display()
        );
        Ok(run)
    }

    /// Reads either kind with the final weights in place: the best averages by the validation rows, or the last ones. A
    /// run's folder stands for the weights in it, or for its checkpoint if training has not ended.
    pub fn averaged(path: &Path, device: &Device) -> Result<Self> {
        let path = if path.is_dir() { find_in(path)? } else { path.to_owned() };
        let (mut run, _) = read(&path, device)?;
        run.show_final()?;
        Ok(run)
    }
}

/// Returns the file that a run's folder stands for.
fn find_in(folder: &Path) -> Result<PathBuf> {
    for name in [WEIGHTS, CHECKPOINT] {
        let path = folder.join(name);
        if path.is_file() {
            return Ok(path);
        }
    }
    bail!(
        "{} holds neither {WEIGHTS} nor {CHECKPOINT}: name the --out folder of `host-train train`",
        folder.display()
    )
}

fn read(path: &Path, device: &Device) -> Result<(Run, Contents)> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read the checkpoint {}", path.display()))?;
    CheckpointFile::parse(&bytes)
        .and_then(|file| {
            let mut run = restore(&file, device)?;
            run.config.data = run.config.data.anchored(path.parent().unwrap_or(Path::new("")));
            Ok((run, file.contents))
        })
        .with_context(|| {
            format!(
                "{} is not a usable checkpoint: train again, or take an earlier copy",
                path.display()
            )
        })
}

fn restore(file: &CheckpointFile<'_>, device: &Device) -> Result<Run> {
    let config = Config::parse(file.entry("config")?)?;
    let kind = match file.optional_entry("levels") {
        Some(levels) => ValueKind::Levels {
            levels: levels.parse()?,
        },
        None => ValueKind::Continuous {
            mean: serde_json::from_str(file.entry("mean")?)?,
            scale: serde_json::from_str(file.entry("scale")?)?,
        },
    };
    let mut run = Run::new(config, file.entry("dim")?.parse()?, kind, device)?;
    run.refitted = file.optional_entry(REFITTED).is_some();
    if let Some(text) = file.optional_entry(GAINS) {
        let gains: GainCurve = serde_json::from_str(text)?;
        gains.check()?;
        run.network.set_gains(Some(gains));
    }
    if file.contents == Contents::Training {
        run.optimizer.step = file.entry("step")?.parse()?;
        run.rng = serde_json::from_str(file.entry("rng")?)?;
        run.pending = serde_json::from_str(file.entry("pending")?)?;
    }
    for slot in &mut run.optimizer.slots {
        let state = read_state(file, slot, device)?;
        slot.restore(&state)?;
    }
    if file.contents == Contents::Training {
        run.validations = read_validations(file, &run.optimizer.slots, device)?;
    }
    Ok(run)
}

/// Reads the record of the validations.
fn read_validations(file: &CheckpointFile<'_>, slots: &[Slot], device: &Device) -> Result<ValidationRecord> {
    let best = match file.optional_entry("best") {
        None => None,
        Some(text) => {
            let weights = slots.iter().map(|slot| {
                let name = best_name(&slot.parameter.name);
                let tensor = file.tensor(&name, device)?;
                check_shape(&name, &tensor, slot.parameter.var.shape())?;
                Ok(tensor)
            });
            Some(BestWeights {
                validation: serde_json::from_str(text)?,
                weights: weights.collect::<Result<_>>()?,
            })
        }
    };
    Ok(ValidationRecord {
        best,
        since_best: file.entry("since_best")?.parse()?,
    })
}

fn check_shape(name: &str, tensor: &Tensor, expected: &Shape) -> Result<()> {
    ensure!(
        tensor.shape() == expected,
        "tensor `{name}` is {:?}, not {expected:?}",
        tensor.shape()
    );
    Ok(())
}

/// Reads the state of a parameter. From a weights file, it is a state that has not been updated yet.
fn read_state(file: &CheckpointFile<'_>, slot: &Slot, device: &Device) -> Result<Tensor> {
    let name = &slot.parameter.name;
    let tensor = file.tensor(name, device)?;
    let expected = match file.contents {
        Contents::Training => slot.state.shape(),
        Contents::Weights => slot.parameter.var.shape(),
    };
    check_shape(name, &tensor, expected)?;
    Ok(match file.contents {
        Contents::Training => tensor,
        Contents::Weights => {
            let value = tensor.flatten_all()?;
            let zero = value.zeros_like()?;
            Tensor::stack(&[&value, &zero, &zero, &value], 0)?
        }
    })
}
