//! Checks of the settings that can be wrong before a file is opened.

use super::builtin::{self, TestPart};
use super::error::DataError;
use super::label::LabelColumn;
use super::row_count::RowCount;
use super::spec::DataSpec;
use super::{mixture, readers};

/// Returns whether `name` is that of a built-in set.
pub(super) fn is_builtin(name: &str) -> bool {
    builtin::find(name).is_some() || mixture::find(name).is_some()
}

/// Checks each setting, and the settings with each other.
pub(super) fn check(spec: &DataSpec) -> Result<(), DataError> {
    check_parts(spec)?;
    check_arrays(spec)?;
    check_counts(spec)?;
    if let Some(0 | 1) = spec.levels {
        return wrong(
            "levels",
            "it counts the levels and must be at least 2; leave it out for continuous data",
        );
    }
    check_range(spec)?;
    if spec.dim == Some(0) {
        return wrong("dim", "a row has at least one value; leave it out to take the file's");
    }
    if spec.label_column == Some(LabelColumn::Number(0)) {
        return wrong("label_column", "columns are counted from 1");
    }
    Ok(())
}

fn check_range(spec: &DataSpec) -> Result<(), DataError> {
    let Some([low, high]) = spec.range else { return Ok(()) };
    let builtin = spec.learned().first().and_then(|name| builtin::find(name));
    if spec.levels.is_some() || builtin.is_some_and(|set| set.levels.is_some()) {
        return wrong("range", "levels have their own; leave it out");
    }
    if !(low.is_finite() && high.is_finite() && low < high) {
        return wrong(
            "range",
            "it gives the least and the greatest value, in this order; leave it out for data without bounds",
        );
    }
    Ok(())
}

/// Checks that the files of a split are not mixed with a source to be split.
fn check_parts(spec: &DataSpec) -> Result<(), DataError> {
    let held_back = [("validation", &spec.validation), ("test", &spec.test)];
    match (spec.source.is_empty(), spec.train.is_empty()) {
        (true, true) => {
            return wrong(
                "source",
                "no data is named; set it to a file or a built-in set, or set `train` to the files to learn from",
            );
        }
        (false, false) => {
            return wrong(
                "train",
                "`source` names the rows to learn from, too; leave one of the two out",
            );
        }
        (false, true) => {
            if let Some((key, _)) = held_back.iter().find(|(_, files)| !files.is_empty()) {
                return wrong(
                    key,
                    "it belongs to a split that is already made: name the rows to learn from with `train` in place of \
                     `source`",
                );
            }
        }
        (true, false) => {}
    }
    let several = spec.source.len() > 1;
    let all = [&spec.source, &spec.train, &spec.validation, &spec.test];
    let builtin = all.into_iter().flatten().find(|name| is_builtin(name));
    match builtin {
        Some(name) if several || spec.source.is_empty() => wrong(
            "source",
            &format!("{name:?} is a built-in set and has its own split; name it alone, as `source`"),
        ),
        _ => Ok(()),
    }
}

fn check_arrays(spec: &DataSpec) -> Result<(), DataError> {
    let own = |files: &'_ [String]| match files.is_empty() {
        true => spec.learned().to_vec(),
        false => files.to_vec(),
    };
    let parts = [
        ("array", &spec.array, spec.learned().to_vec()),
        ("validation_array", &spec.validation_array, own(&spec.validation)),
        ("test_array", &spec.test_array, own(&spec.test)),
    ];
    for (key, arrays, files) in parts {
        if !arrays.is_empty() && !files.iter().any(|file| readers::holds_named_arrays(file)) {
            return wrong(
                key,
                "it names an array of an .npz file and `source` is not one; leave it out",
            );
        }
    }
    Ok(())
}

fn check_counts(spec: &DataSpec) -> Result<(), DataError> {
    let counts = [
        (
            "test_rows",
            spec.test_rows,
            !spec.test.is_empty() || !spec.test_array.is_empty(),
        ),
        (
            "validation_rows",
            Some(spec.validation_rows).filter(|rows| *rows != RowCount::Count(0)),
            !spec.validation.is_empty() || !spec.validation_array.is_empty(),
        ),
    ];
    for (key, count, own) in counts {
        match count {
            Some(_) if own => {
                return wrong(key, "these rows have a file or an array of their own; leave it out");
            }
            Some(count) if !count.is_possible() => {
                return wrong(
                    key,
                    "a fraction is above 0 and below 1; write a number of rows without a point",
                );
            }
            _ => {}
        }
    }
    let fixed = |name: &String| builtin::find(name).is_some_and(|set| matches!(set.test, TestPart::File(_)));
    match spec.test_rows {
        Some(RowCount::Count(0)) => wrong("test_rows", "evaluation needs at least one row held back"),
        Some(_) if spec.source.iter().any(fixed) => wrong(
            "test_rows",
            "the test rows of this set are always the same ones; leave it out",
        ),
        _ => Ok(()),
    }
}

fn wrong<T>(key: &'static str, problem: &str) -> Result<T, DataError> {
    Err(DataError::Setting {
        key,
        problem: problem.to_owned(),
    })
}
