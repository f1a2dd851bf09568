//! Numbers of files before anything is done to them.

use super::error::{DataError, Field};

/// Rows of `dim` finite numbers, in the units and the order of their files.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct RawTable {
    /// Names of the files in messages.
    pub files: Vec<String>,
    /// Values in a row.
    pub dim: usize,
    /// All rows, one after the other.
    pub values: Vec<f64>,
    /// Place of each row.
    pub origins: Vec<Origin>,
    /// Names of the columns, where the file has a header.
    pub header: Option<Vec<String>>,
    /// The label column, where one is set aside.
    pub label: Option<RawLabel>,
    /// Sentences for the user about the reading.
    pub remarks: Vec<String>,
}

/// Place of a row in a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Number of the file, from 0.
    pub file: usize,
    /// Row in the file, from 1; the line in a `.csv`.
    pub row: u64,
}

/// A column that is a label.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RawLabel {
    /// Position among all columns, from 0.
    pub index: usize,
    /// Its name in the header.
    pub name: Option<String>,
    /// Its text in each row.
    pub texts: Vec<String>,
}

impl RawLabel {
    /// Returns the label column at `index`, without rows and without a name.
    pub fn new(index: usize) -> Self {
        Self {
            index,
            name: None,
            texts: Vec::new(),
        }
    }
}

impl RawTable {
    /// Returns a table without rows.
    pub fn new(file: &str) -> Self {
        Self {
            files: vec![file.to_owned()],
            ..Self::default()
        }
    }

    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.origins.len()
    }

    /// Returns row `index`, `dim` values.
    pub fn row(&self, index: usize) -> &[f64] {
        &self.values[index * self.dim..(index + 1) * self.dim]
    }

    /// Returns the values of column `index`.
    pub fn column(&self, index: usize) -> impl Iterator<Item = f64> + Clone + '_ {
        self.values.iter().skip(index).step_by(self.dim.max(1)).copied()
    }

    /// Returns the names of all files.
    pub fn name(&self) -> String {
        self.files.join(", ")
    }

    /// Returns the name of the file that row `index` stands in, and its place there.
    pub fn place(&self, index: usize) -> (String, u64) {
        let origin = self.origins[index];
        (self.files[origin.file].clone(), origin.row)
    }

    /// Appends the rows of another table.
    ///
    /// # Errors
    ///
    /// If its columns are not the same.
    pub fn append(&mut self, mut other: RawTable) -> Result<(), DataError> {
        if other.dim != self.dim {
            return Err(DataError::OtherWidth {
                file: other.name(),
                found: other.dim,
                expected: self.dim,
            });
        }
        self.check_columns(&other)?;
        let first = self.files.len();
        for origin in &mut other.origins {
            origin.file += first;
        }
        self.label = match (self.label.take(), other.label) {
            (Some(mut label), Some(mut more)) => {
                label.texts.append(&mut more.texts);
                Some(label)
            }
            _ => None,
        };
        self.files.append(&mut other.files);
        self.values.append(&mut other.values);
        self.origins.append(&mut other.origins);
        self.remarks.append(&mut other.remarks);
        self.header = self.header.take().or(other.header);
        Ok(())
    }

    fn check_columns(&self, other: &RawTable) -> Result<(), DataError> {
        match &self.header {
            Some(names) => other.check_names(names),
            None => Ok(()),
        }
    }

    /// Checks that the header, if there is one, has these names.
    pub fn check_names(&self, names: &[String]) -> Result<(), DataError> {
        let Some(header) = &self.header else { return Ok(()) };
        match header.iter().zip(names).position(|(found, name)| found != name) {
            None => Ok(()),
            Some(index) => Err(DataError::OtherColumn {
                file: self.name(),
                field: self.field(index),
                expected: names[index].clone(),
            }),
        }
    }

    /// Returns column `index` (from 0) as messages name it.
    pub fn field(&self, index: usize) -> Field {
        let before = self.label.as_ref().is_some_and(|label| label.index <= index);
        Field {
            number: index + 1 + usize::from(before),
            name: self.header.as_ref().and_then(|names| names.get(index)).cloned(),
        }
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
