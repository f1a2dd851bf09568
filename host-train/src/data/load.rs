//! From a specification to the rows of a split.

use std::path::Path;

use super::dataset::Split;
use super::error::DataError;
use super::spec::DataSpec;
use super::{builtin, mixture, normalize, readers, split};

/// Reads, checks, splits and normalizes what `spec` names. A relative path starts at `base_dir`, the folder of the
/// configuration.
pub fn load(spec: &DataSpec, base_dir: &Path) -> Result<Split, DataError> {
    check_settings(spec)?;
    let builtin = builtin::find(&spec.source);
    let table = match (builtin, mixture::find(&spec.source)) {
        (Some(set), _) => set.read()?,
        (None, Some(mixture)) => mixture.read(),
        (None, None) => readers::read(spec, &base_dir.join(&spec.source))?,
    };
    if let Some(expected) = spec.dim
        && expected != table.dim
    {
        return Err(DataError::Dimension {
            file: table.file,
            found: table.dim,
            expected,
        });
    }

    let rows = table.len();
    let default_test_rows = builtin.map_or((rows / 10).max(1), |set| set.test_rows);
    let test_rows = spec.test_rows.unwrap_or(default_test_rows);
    let held_back = test_rows.saturating_add(spec.validation_rows);
    if held_back >= rows {
        return Err(DataError::TooFewRows {
            file: table.file,
            rows,
            test_rows: held_back,
        });
    }
    let deal = split::deal(rows, test_rows, spec.validation_rows, spec.split_seed);

    let kind = match spec.levels.or(builtin.and_then(|set| set.levels)) {
        Some(levels) => normalize::levels(&table, levels)?,
        None => normalize::continuous(&table, &deal.train)?,
    };
    let name = Path::new(&spec.source)
        .file_name()
        .map_or(spec.source.clone(), |name| name.display().to_string());
    let dataset = |rows: &[usize]| normalize::dataset(&name, &kind, &table, rows);
    Ok(Split {
        train: dataset(&deal.train),
        validation: dataset(&deal.validation),
        test: dataset(&deal.test),
    })
}

/// Checks the settings that can be wrong before the file is opened.
fn check_settings(spec: &DataSpec) -> Result<(), DataError> {
    let wrong = |key, problem: &str| {
        Err(DataError::Setting {
            key,
            problem: problem.to_owned(),
        })
    };
    match spec {
        DataSpec {
            levels: Some(0 | 1), ..
        } => wrong(
            "levels",
            "it counts the levels and must be at least 2; leave it out for continuous data",
        ),
        DataSpec { dim: Some(0), .. } => wrong("dim", "a row has at least one value; leave it out to take the file's"),
        DataSpec { test_rows: Some(0), .. } => wrong("test_rows", "evaluation needs at least one row held back"),
        DataSpec {
            array: Some(_), source, ..
        } if !readers::holds_named_arrays(source) => wrong(
            "array",
            "it names an array of an .npz file and `source` is not one; leave it out",
        ),
        _ => Ok(()),
    }
}
