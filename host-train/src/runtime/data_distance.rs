//! Energy distance from rows of any origin to a data set.

use crate::data::{Dataset, Split};
use crate::runtime::distance::{Points, energy_distance};
use serde::Serialize;

/// Largest number of rows of the data that samples are compared with: the work grows with the square.
const MAX_ROWS: usize = 6000;

/// Energy distances D² from the rows of a file to a data set, in model units.
#[derive(Clone, Debug, Serialize)]
pub struct DataDistance {
    /// Name of the file.
    pub file: String,
    /// Number of its rows.
    pub rows: usize,
    /// D² to the held-out rows; absent if there is only one.
    pub held_out: Option<f64>,
    /// D² to all rows of the data.
    pub all: f64,
}

/// Measures how far `rows`, at least two, are from the data.
pub fn measure_distance(rows: &Dataset, split: &Split) -> DataDistance {
    let all = all_rows(split);
    let all = Points {
        dim: split.test.dim,
        values: &all,
    };
    let held_out = (split.test.len() > 1).then(|| energy_distance(points(rows), points(&split.test)));
    DataDistance {
        file: rows.name.clone(),
        rows: rows.len(),
        held_out,
        all: energy_distance(points(rows), all),
    }
}

/// Returns the rows of all parts, training rows first, as many as samples are compared with.
pub fn all_rows(split: &Split) -> Vec<f32> {
    let mut all = [&split.train, &split.validation, &split.test]
        .map(|part| part.rows.as_slice())
        .concat();
    all.truncate(MAX_ROWS * split.test.dim);
    all
}

/// Borrows the rows of a data set.
pub fn points(data: &Dataset) -> Points<'_> {
    Points {
        dim: data.dim,
        values: &data.rows,
    }
}
