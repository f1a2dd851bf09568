//! Conversion from the file's units to the model's.

use super::dataset::{Dataset, ValueKind};
use super::error::{DataError, LevelFault};
use super::table::RawTable;

/// Checks that every number of `table` is a level, `0..levels` with at least two of them.
pub(super) fn levels(table: &RawTable, levels: u16) -> Result<ValueKind, DataError> {
    let highest = levels - 1;
    for index in 0..table.len() {
        for (column, &value) in table.row(index).iter().enumerate() {
            let fault = match value {
                _ if value < 0.0 => LevelFault::Below,
                _ if value > f64::from(highest) => LevelFault::Above,
                _ if value.fract() != 0.0 => LevelFault::Fraction,
                _ => continue,
            };
            let ((file, row), field, found) = (table.place(index), table.field(column), value.to_string());
            return Err(DataError::NotALevel {
                file,
                row,
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
    for index in 0..table.len() {
        for (column, value) in table.row(index).iter().enumerate() {
            if !(low..=high).contains(value) {
                let (file, row) = table.place(index);
                return Err(DataError::OutOfRange {
                    file,
                    row,
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

/// Steps of an f32 in a standard deviation below which a column cannot be used.
const MIN_STEPS: f64 = 16.0;
/// Steps below which the user hears of it.
const FEW_STEPS: f64 = 1024.0;

/// Measures mean and standard deviation of each column over the rows `train` (at least one). Remarks on columns of few
/// digits go to `remarks`.
pub(super) fn continuous(table: &RawTable, train: &[usize], remarks: &mut Vec<String>) -> Result<ValueKind, DataError> {
    let column_mean = |column: usize, of: &dyn Fn(f64) -> f64| {
        train.iter().map(|&row| of(table.row(row)[column])).sum::<f64>() / train.len() as f64
    };
    let mut mean = Vec::with_capacity(table.dim);
    let mut scale = Vec::with_capacity(table.dim);
    for column in 0..table.dim {
        let center = column_mean(column, &|x| x);
        let deviation = column_mean(column, &|x| (x - center) * (x - center)).sqrt();
        check_resolution(table, train, column, (center, deviation), remarks)?;
        mean.push(center as f32);
        scale.push(deviation as f32);
    }
    Ok(ValueKind::Continuous { mean, scale })
}

/// Checks that the values of a column differ by more than an f32 can tell, so that a model can learn them.
fn check_resolution(
    table: &RawTable,
    train: &[usize],
    column: usize,
    (center, deviation): (f64, f64),
    remarks: &mut Vec<String>,
) -> Result<(), DataError> {
    let first = table.row(train[0])[column];
    let step = (center.abs() * f64::from(f32::EPSILON)).max(f64::from(f32::MIN_POSITIVE));
    if deviation >= FEW_STEPS * step {
        return Ok(());
    }
    let lowest = train.iter().map(|&row| table.row(row)[column]).fold(first, f64::min);
    let (file, field, value) = (table.name(), table.field(column), lowest.to_string());
    // The rounding of the mean leaves a deviation to a column of one value.
    if train.iter().all(|&row| table.row(row)[column] == first) {
        return Err(DataError::ConstantColumn { file, field, value });
    }
    if deviation < MIN_STEPS * step {
        return Err(DataError::Resolution { file, field, value });
    }
    remarks.push(format!(
        "{file}, {field}: 32-bit floats tell few of the values around {value} apart; subtract a constant first, such \
         as {value}"
    ));
    Ok(())
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
        columns: table.header.clone().unwrap_or_default(),
        labels: table
            .label
            .as_ref()
            .map(|label| rows.iter().map(|&row| label.texts[row].clone()).collect()),
        files: table.files.clone(),
        origins: rows.iter().map(|&row| table.origins[row]).collect(),
    }
}
