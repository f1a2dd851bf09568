//! From a specification to the rows of a split.

use std::path::Path;

use super::builtin::{self, Builtin, TestPart};
use super::dataset::{Dataset, Split, ValueKind};
use super::error::DataError;
use super::spec::DataSpec;
use super::split::{self, Deal};
use super::table::RawTable;
use super::{mixture, normalize, readers};

/// Reads, checks, splits and normalizes what `spec` names. A relative path starts at `base_dir`, the folder of the
/// configuration.
pub fn load(spec: &DataSpec, base_dir: &Path) -> Result<Split, DataError> {
    check_settings(spec)?;
    let builtin = builtin::find(&spec.source);
    let mut table = match (builtin, mixture::find(&spec.source)) {
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

    let separate = builtin.map(Builtin::read_test).transpose()?.flatten();
    let deal = match separate {
        Some(test) => {
            let mut deal = deal(spec, &table, 0)?;
            let pool = table.len();
            table.append(test);
            deal.test = (pool..table.len()).collect();
            deal
        }
        None => {
            let default = match builtin.map(|set| &set.test) {
                Some(&TestPart::Drawn(rows)) => rows,
                _ => (table.len() / 10).max(1),
            };
            deal(spec, &table, spec.test_rows.unwrap_or(default))?
        }
    };

    let kind = match (spec.levels.or(builtin.and_then(|set| set.levels)), spec.range) {
        (Some(levels), _) => normalize::levels(&table, levels)?,
        (None, Some(range)) => normalize::bounded(&table, range)?,
        (None, None) => normalize::continuous(&table, &deal.train)?,
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

/// Reads every row of the file at `path`, in the units of `like`: samples of its data set, for instance.
///
/// # Errors
///
/// If the file cannot be read, or its rows cannot be of the same data set.
pub fn load_rows(path: &Path, like: &Dataset) -> Result<Dataset, DataError> {
    let name = path.display().to_string();
    let table = readers::read(&DataSpec::new(name.as_str()), path)?;
    if table.dim != like.dim {
        return Err(DataError::OtherWidth {
            file: table.file,
            found: table.dim,
            expected: like.dim,
        });
    }
    if let ValueKind::Levels { levels } = like.kind {
        normalize::levels(&table, levels)?;
    }
    let rows: Vec<usize> = (0..table.len()).collect();
    Ok(normalize::dataset(&name, &like.kind, &table, &rows))
}

/// Divides the rows of `table` by the seed, `test_rows` of them for the test.
fn deal(spec: &DataSpec, table: &RawTable, test_rows: usize) -> Result<Deal, DataError> {
    let held_back = test_rows.saturating_add(spec.validation_rows);
    if held_back >= table.len() {
        return Err(DataError::TooFewRows {
            file: table.file.clone(),
            rows: table.len(),
            test_rows: held_back,
        });
    }
    Ok(split::deal(
        table.len(),
        test_rows,
        spec.validation_rows,
        spec.split_seed,
    ))
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
        DataSpec {
            range: Some([low, high]),
            ..
        } if !(low.is_finite() && high.is_finite() && low < high) => wrong(
            "range",
            "it gives the least and the greatest value, in this order; leave it out for data without bounds",
        ),
        DataSpec {
            range: Some(_),
            levels,
            source,
            ..
        } if levels.is_some() || builtin::find(source).is_some_and(|set| set.levels.is_some()) => {
            wrong("range", "levels have their own; leave it out")
        }
        DataSpec { dim: Some(0), .. } => wrong("dim", "a row has at least one value; leave it out to take the file's"),
        DataSpec { test_rows: Some(0), .. } => wrong("test_rows", "evaluation needs at least one row held back"),
        DataSpec {
            test_rows: Some(_),
            source,
            ..
        } if builtin::find(source).is_some_and(|set| matches!(set.test, TestPart::File(_))) => wrong(
            "test_rows",
            "the test rows of this set are always the same ones; leave it out",
        ),
        DataSpec {
            array: Some(_), source, ..
        } if !readers::holds_named_arrays(source) => wrong(
            "array",
            "it names an array of an .npz file and `source` is not one; leave it out",
        ),
        _ => Ok(()),
    }
}
