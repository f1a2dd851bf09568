//! Rows of the data in the form of samples, so that both are written and judged alike.

use crate::data::Dataset;
use crate::runtime::sample::Samples;

/// Returns the rows of `data` in the file's units.
pub fn raw_rows(data: &Dataset) -> Samples {
    let rows = 0..data.len();
    match rows.clone().map(|row| data.row_bytes(row)).collect() {
        Some(levels) => Samples::Levels(levels),
        None => Samples::Values(rows.map(|row| raw_row(data, row)).collect()),
    }
}

/// Levels are whole numbers again, however many there are.
fn raw_row(data: &Dataset, row: usize) -> Vec<f32> {
    match data.row_levels(row) {
        Some(levels) => levels.into_iter().map(f32::from).collect(),
        None => data.kind.to_raw(data.row(row)),
    }
}
