//! Files of a sweep: the folder of each run, and the table of all results.

use super::points::Point;
use crate::files::write_atomically;
use crate::train::checkpoint::CHECKPOINT;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::Path;

/// Configuration in the folder of a run.
pub const CONFIG: &str = "config.toml";
/// Result of a run that has ended, in its folder.
pub const RESULT: &str = "result.json";
/// Error of a run that has failed, in its folder.
pub const ERROR: &str = "error.txt";
/// Table of a sweep's results.
pub const RESULTS: &str = "results.csv";

/// Makes the folder of a run, or finds it as an earlier call made it.
///
/// # Errors
///
/// If the folder holds another configuration, or cannot be written.
pub fn prepare_folder(point: &Point, folder: &Path) -> Result<()> {
    let path = folder.join(CONFIG);
    let text = point.config.to_toml()?;
    match std::fs::read_to_string(&path) {
        Ok(old) if old == text => Ok(()),
        Ok(_) => bail!(
            "{} belongs to another sweep, or this one has changed: give it another --out folder",
            path.display()
        ),
        Err(_) => {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
            write_atomically(&path, |out| Ok(out.write_all(text.as_bytes())?))
        }
    }
}

/// Records the result of a run that has ended.
pub(super) fn record_success(folder: &Path, result: &[u8]) -> Result<()> {
    let error = folder.join(ERROR);
    if error.exists() {
        std::fs::remove_file(&error).with_context(|| format!("cannot remove {}", error.display()))?;
    }
    write_atomically(&folder.join(RESULT), |out| Ok(out.write_all(result)?))
}

/// Records the error of a run, and reports it.
pub(super) fn record_failure(point: &Point, folder: &Path, message: &str) -> Result<()> {
    let last = message.trim_end().lines().last();
    eprintln!("run {} failed: {}", point.name, last.unwrap_or("no message"));
    write_atomically(&folder.join(ERROR), |out| Ok(out.write_all(message.as_bytes())?))
}

/// Number of runs that have failed.
pub fn count_failed<'p>(points: impl IntoIterator<Item = &'p Point>, folder: &Path) -> usize {
    let failed = |point: &&Point| folder.join(&point.name).join(ERROR).exists();
    points.into_iter().filter(failed).count()
}

/// Returns the run with the best ELBO on validation rows, and that ELBO in bits per dimension; `None` if there are no
/// such rows. Held-out rows choose nothing.
pub fn best_run<'p>(points: impl IntoIterator<Item = &'p Point>, folder: &Path) -> Option<(&'p Point, f64)> {
    let validation = |point: &'p Point| {
        let result = read_result(&folder.join(&point.name))?;
        Some((point, result.get("validation")?.get("bits_per_dim")?.as_f64()?))
    };
    points
        .into_iter()
        .filter_map(validation)
        .min_by(|a, b| a.1.total_cmp(&b.1))
}

fn read_result(run: &Path) -> Option<Value> {
    let text = std::fs::read_to_string(run.join(RESULT)).ok()?;
    serde_json::from_str(&text).ok()
}

/// Writes the table of all runs, from the files in their folders.
pub fn write_results(points: &[Point], folder: &Path) -> Result<()> {
    const TERMS: [&str; 4] = ["bits_per_dim", "reconstruction", "prior", "diffusion"];
    let mut table = csv::Writer::from_writer(Vec::new());
    let keys = points.first().map(|p| p.changes.iter().map(|(key, _)| key.as_str()));
    let header = ["run"]
        .into_iter()
        .chain(keys.into_iter().flatten())
        .chain(["state", "steps", "validation"])
        .chain(TERMS);
    table.write_record(header)?;
    for point in points {
        let run = folder.join(&point.name);
        let result = read_result(&run);
        let state = match &result {
            Some(_) => "done",
            None if run.join(ERROR).exists() => "failed",
            None if run.join(CHECKPOINT).exists() => "begun",
            None => "waiting",
        };
        let number = |value: Option<&Value>| value.map(Value::to_string).unwrap_or_default();
        let steps = number(result.as_ref().and_then(|r| r.get("steps_trained")));
        let validation = number(result.as_ref().and_then(|r| r.get("validation")?.get("bits_per_dim")));
        let term = |name: &str| number(result.as_ref().and_then(|r| r.get("held_out")?.get(name)));
        let mut record = vec![point.name.clone()];
        record.extend(point.changes.iter().map(|(_, value)| value.clone()));
        record.extend([state.to_owned(), steps, validation]);
        record.extend(TERMS.map(term));
        table.write_record(&record)?;
    }
    let bytes = table.into_inner().context("the table of results could not be made")?;
    write_atomically(&folder.join(RESULTS), |out| Ok(out.write_all(&bytes)?))
}
