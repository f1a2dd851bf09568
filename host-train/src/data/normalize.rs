//! Conversion from the file's units to the model's.

use super::dataset::{Dataset, ValueKind};
use super::error::{DataError, LevelFault};
use super::table::RawTable;

/// Checks that every number of `table` is a level, `0..levels` with at least two of them.
pub(super) fn levels(table: &RawTable, levels: u16) -> Result<ValueKind, DataError> {
    let highest = levels - 1;
    for (index, row) in table.row_numbers.iter().enumerate() {
        for (column, &value) in table.row(index).iter().enumerate() {
            let fault = match value {
                _ if value < 0.0 => LevelFault::Below,
                _ if value > f64::from(highest) => LevelFault::Above,
                _ if value.fract() != 0.0 => LevelFault::Fraction,
                _ => continue,
            };
            let (file, field, found) = (table.file.clone(), table.field(column), value.to_string());
            return Err(DataError::NotALevel {
                file,
                row: *row,
                field,
                found,
                fault,
                highest,
            });
        }
    }
    Ok(ValueKind::Levels { levels })
}

/// Checks that every number of `table` is between the two ends of a range, which become −1 and 1.
pub(super) fn bounded(table: &RawTable, [low, high]: [f64; 2]) -> Result<ValueKind, DataError> {
    for (index, row) in table.row_numbers.iter().enumerate() {
        for (column, value) in table.row(index).iter().enumerate() {
            if !(low..=high).contains(value) {
                return Err(DataError::OutOfRange {
                    file: table.file.clone(),
                    row: *row,
                    field: table.field(column),
                    found: value.to_string(),
                    range: [low, high],
                });
            }
        }
    }
    Ok(ValueKind::Continuous {
        mean: vec![(0.5 * (low + high)) as f32; table.dim],
        scale: vec![(0.5 * (high - low)) as f32; table.dim],
    })
}

/// Measures mean and standard deviation of each column over the rows `train` (at least one).
pub(super) fn continuous(table: &RawTable, train: &[usize]) -> Result<ValueKind, DataError> {
    let column_mean = |column: usize, of: &dyn Fn(f64) -> f64| {
        train.iter().map(|&row| of(table.row(row)[column])).sum::<f64>() / train.len() as f64
    };
    let mut mean = Vec::with_capacity(table.dim);
    let mut scale = Vec::with_capacity(table.dim);
    for column in 0..table.dim {
        let center = column_mean(column, &|x| x);
        let deviation = column_mean(column, &|x| (x - center) * (x - center)).sqrt();
        // Smaller than an f32's step at the mean, or than the smallest f32: nothing that f32 could show.
        let resolution = (center.abs() * f64::from(f32::EPSILON)).max(f64::from(f32::MIN_POSITIVE));
        if deviation < resolution {
            let value = table.row(train[0])[column].to_string();
            return Err(DataError::ConstantColumn {
                file: table.file.clone(),
                field: table.field(column),
                value,
            });
        }
        mean.push(center as f32);
        scale.push(deviation as f32);
    }
    Ok(ValueKind::Continuous { mean, scale })
}

/// Returns the rows `rows` of `table` in model units.
pub(super) fn dataset(name: &str, kind: &ValueKind, table: &RawTable, rows: &[usize]) -> Dataset {
    let model_row = |&row: &usize| {
        table
            .row(row)
            .iter()
            .enumerate()
            .map(|(column, &raw)| kind.to_model(column, raw))
    };
    Dataset {
        name: name.to_owned(),
        dim: table.dim,
        rows: rows.iter().flat_map(model_row).collect(),
        kind: kind.clone(),
    }
}
