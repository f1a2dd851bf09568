//! Data sets: from a file, or built in, to rows that a model can learn from.
//!
//! A [`DataSpec`] is the `[data]` table of a run's configuration. [`load`] reads what it names, checks every number,
//! holds back some rows, and maps the file's units to the model's. The same specification always gives the same
//! rows on both sides, so that numbers of different runs can be compared.
//!
//! ```
//! use host_train::data::{self, DataSpec};
//!
//! let split = data::load(&DataSpec::new("digits"), ".".as_ref())?;
//! assert_eq!((split.train.len(), split.test.len(), split.train.dim), (1500, 297, 64));
//! assert!(split.train.rows.iter().all(|x| (-1.0..=1.0).contains(x)));
//! # Ok::<(), data::DataError>(())
//! ```

pub mod builtin;
mod csv;
mod dataset;
mod error;
pub mod mixture;
mod normalise;
mod npy;
mod spec;
mod split;
mod table;

use std::fs::File;
use std::path::Path;

pub use dataset::{Dataset, Kind, Split};
pub use error::{DataError, Field, LevelFault};
use flate2::read::MultiGzDecoder;
pub use spec::{DataSpec, LabelColumn};
use table::{Table, unreadable};

/// Reads, checks, splits and normalises what `spec` names. A relative path starts at `base_dir`, the folder of the
/// configuration.
pub fn load(spec: &DataSpec, base_dir: &Path) -> Result<Split, DataError> {
    check_settings(spec)?;
    let builtin = builtin::find(&spec.source);
    let table = match (builtin, mixture::find(&spec.source)) {
        (Some(set), _) => set.read()?,
        (None, Some(mixture)) => mixture.read(),
        (None, None) => read_file(spec, &base_dir.join(&spec.source))?,
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
        Some(levels) => normalise::levels(&table, levels)?,
        None => normalise::continuous(&table, &deal.train)?,
    };
    let name = Path::new(&spec.source)
        .file_name()
        .map_or(spec.source.clone(), |name| name.display().to_string());
    let dataset = |rows: &[usize]| normalise::dataset(&name, &kind, &table, rows);
    Ok(Split {
        train: dataset(&deal.train),
        validation: dataset(&deal.validation),
        test: dataset(&deal.test),
    })
}

/// What can be wrong before the file is opened.
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
        } if !has_extension(source, ".npz") => wrong(
            "array",
            "it names an array of an .npz file and `source` is not one; leave it out",
        ),
        _ => Ok(()),
    }
}

fn read_file(spec: &DataSpec, path: &Path) -> Result<Table, DataError> {
    let file = path.display().to_string();
    let open = || File::open(path).map_err(|error| unreadable(&file, &error));
    if has_extension(&file, ".csv") {
        csv::read(&file, open()?, spec.label_column)
    } else if has_extension(&file, ".csv.gz") {
        csv::read(&file, MultiGzDecoder::new(open()?), spec.label_column)
    } else if has_extension(&file, ".npy") {
        npy::read_npy(path, spec.label_column)
    } else if has_extension(&file, ".npz") {
        npy::read_npz(path, spec.array.as_deref(), spec.label_column)
    } else {
        Err(DataError::UnknownFormat { file })
    }
}

fn has_extension(file: &str, extension: &str) -> bool {
    file.to_ascii_lowercase().ends_with(extension)
}
