//! A file's numbers before anything is done to them.

use super::error::{DataError, Field};

/// `row_numbers.len()` rows of `dim` finite numbers, in the file's units and order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RawTable {
    /// Name of the file in error messages.
    pub file: String,
    /// Values in a row.
    pub dim: usize,
    /// All rows, one after the other.
    pub values: Vec<f64>,
    /// Position of each row in the file, from 1.
    pub row_numbers: Vec<u64>,
    /// Column headers, where the file has them.
    pub header: Option<Vec<String>>,
}

impl RawTable {
    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.row_numbers.len()
    }

    /// Returns row `index`, `dim` values.
    pub fn row(&self, index: usize) -> &[f64] {
        &self.values[index * self.dim..(index + 1) * self.dim]
    }

    /// Appends the rows of a table of the same columns.
    pub fn append(&mut self, mut other: RawTable) {
        self.values.append(&mut other.values);
        self.row_numbers.append(&mut other.row_numbers);
    }

    /// Returns column `index` (from 0) as messages name it.
    pub fn field(&self, index: usize) -> Field {
        field(self.header.as_deref(), index)
    }
}

/// Returns column `index` (from 0) as messages name it.
pub(super) fn field(header: Option<&[String]>, index: usize) -> Field {
    Field {
        number: index + 1,
        name: header.and_then(|names| names.get(index)).cloned(),
    }
}

/// Returns whether `value` is finite as the `f32` that the model holds.
pub(super) fn is_finite(value: f64) -> bool {
    (value as f32).is_finite()
}

/// Returns the error of a file that cannot be opened or read to its end.
pub(super) fn unreadable(file: &str, error: &std::io::Error) -> DataError {
    match error.kind() {
        std::io::ErrorKind::NotFound => DataError::Missing { file: file.to_owned() },
        _ => DataError::Unreadable {
            file: file.to_owned(),
            reason: error.to_string(),
        },
    }
}
