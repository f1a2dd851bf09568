//! Errors of a data set: each sentence names the place and the remedy.

use std::fmt;

/// A column as a person finds it in the file: its number, counted from 1, and its header if it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Position in the row, counted from 1.
    pub number: usize,
    /// The header's text, where the file has a header.
    pub name: Option<String>,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "field {} ({name:?})", self.number),
            None => write!(f, "field {}", self.number),
        }
    }
}

/// Reason why a number is not one of the levels `0..levels`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LevelFault {
    /// Below zero.
    Below,
    /// Above `levels − 1`.
    Above,
    /// Not a whole number.
    Fraction,
}

impl fmt::Display for LevelFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LevelFault::Below => "is below the levels",
            LevelFault::Above => "is above the levels",
            LevelFault::Fraction => "is not a whole number",
        })
    }
}

/// Reason why a data set cannot be used. Rows and fields count from 1, as they stand in the file, header included.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The file is not there.
    #[error(
        "{file} does not exist: set `source` to \"digits\", \"optdigits\", \"ecg\" or to a path relative to the folder of the configuration"
    )]
    Missing {
        /// Path of the file.
        file: String,
    },
    /// The file's extension has no reader.
    #[error("{file} has an unknown extension: give a {} file, or \"digits\", \"optdigits\" or \"ecg\"", alternatives(.known))]
    UnknownFormat {
        /// Path of the file.
        file: String,
        /// Extensions that have a reader.
        known: Vec<&'static str>,
    },
    /// The file is there but its bytes cannot be read or are damaged.
    #[error("{file} cannot be read ({reason}): check that the file is whole and that you may read it")]
    Unreadable {
        /// Path of the file.
        file: String,
        /// Error of the reader.
        reason: String,
    },
    /// No rows, or rows without values.
    #[error("{file} holds no values: give at least two rows of numbers")]
    Empty {
        /// Path of the file.
        file: String,
    },
    /// A row is shorter or longer than the first one.
    #[error(
        "{file}, row {row}: found {found} fields where the rows above have {expected}; give every row the same number of fields"
    )]
    RaggedRow {
        /// Path of the file.
        file: String,
        /// Row in the file, from 1.
        row: u64,
        /// Fields in this row.
        found: usize,
        /// Fields in the first row.
        expected: usize,
    },
    /// A field is not a number.
    #[error(
        "{file}, row {row}, {field}: {found:?} is not a number; write plain numbers separated by commas (a header is a first row without any number)"
    )]
    NotANumber {
        /// Path of the file.
        file: String,
        /// Row in the file, from 1.
        row: u64,
        /// Column of the value.
        field: Field,
        /// The text found there.
        found: String,
    },
    /// A value is NaN, infinite, or too large for 32-bit floating point.
    #[error("{file}, row {row}, {field}: {found} is not a finite 32-bit number; replace it or remove the row")]
    NotFinite {
        /// Path of the file.
        file: String,
        /// Row in the file, from 1.
        row: u64,
        /// Column of the value.
        field: Field,
        /// The value, as text.
        found: String,
    },
    /// A value that is not one of the levels.
    #[error("{file}, row {row}, {field}: {found} {fault} 0 to {highest}; correct the value or `levels`")]
    NotALevel {
        /// Path of the file.
        file: String,
        /// Row in the file, from 1.
        row: u64,
        /// Column of the value.
        field: Field,
        /// The value, as text.
        found: String,
        /// Fault of the value.
        fault: LevelFault,
        /// `levels − 1`.
        highest: u16,
    },
    /// A value of bounded data that is not within its range.
    #[error("{file}, row {row}, {field}: {found} is not between {} and {}; correct the value or `range`", .range[0], .range[1])]
    OutOfRange {
        /// Path of the file.
        file: String,
        /// Row in the file, from 1.
        row: u64,
        /// Column of the value.
        field: Field,
        /// The value, as text.
        found: String,
        /// Least and greatest value.
        range: [f64; 2],
    },
    /// Rows are not as long as the configuration says.
    #[error(
        "{file} has {found} values a row but `dim` is {expected}: correct `dim`, or drop a label with `label_column = \"last\"`"
    )]
    Dimension {
        /// Path of the file.
        file: String,
        /// Values in a row, after the label is dropped.
        found: usize,
        /// Values in a row that the configuration asks for.
        expected: usize,
    },
    /// Rows are not as long as those of the data set that they should belong to.
    #[error("{file} has {found} values a row where the data has {expected}: give rows of the same data set")]
    OtherWidth {
        /// Path of the file.
        file: String,
        /// Values in a row.
        found: usize,
        /// Values in a row of the data set.
        expected: usize,
    },
    /// An array of something that is not a real number.
    #[error("{file} holds elements of type {found}: save it as f32, f64 or integers of 8 to 64 bits")]
    ElementType {
        /// Path of the file, with the array's name for an `.npz`.
        file: String,
        /// The element type as the file names it.
        found: String,
    },
    /// An array without rows and columns.
    #[error("{file} has shape {shape:?}: reshape it to (rows, values in a row)")]
    Rank {
        /// Path of the file, with the array's name for an `.npz`.
        file: String,
        /// The array's shape.
        shape: Vec<u64>,
    },
    /// The `.npz` holds no array of that name.
    #[error("{file} has no array {asked:?}: set `array` to one of {}", list(.names))]
    UnknownArray {
        /// Path of the file.
        file: String,
        /// The name in the configuration.
        asked: String,
        /// The names in the file, sorted.
        names: Vec<String>,
    },
    /// The `.npz` holds several arrays and the configuration names none.
    #[error("{file} holds {} arrays: set `array` to one of {}", .names.len(), list(.names))]
    AmbiguousArray {
        /// Path of the file.
        file: String,
        /// The names in the file, sorted.
        names: Vec<String>,
    },
    /// Not enough rows to train and to test on.
    #[error(
        "{file} has {rows} rows, too few to hold back {test_rows} and keep one for training: lower `test_rows` or `validation_rows`, or add rows"
    )]
    TooFewRows {
        /// Path of the file.
        file: String,
        /// Rows in the file.
        rows: usize,
        /// Rows to be held back.
        test_rows: usize,
    },
    /// A column that carries no information and cannot be scaled.
    #[error("{file}, {field}: every training row holds {value}, so it cannot be scaled; remove the column")]
    ConstantColumn {
        /// Path of the file.
        file: String,
        /// Column of the value.
        field: Field,
        /// The value it always has.
        value: String,
    },
    /// A setting that contradicts itself or the file.
    #[error("`{key}` in the data configuration is wrong: {problem}")]
    Setting {
        /// The key in the configuration.
        key: &'static str,
        /// The problem, and the remedy.
        problem: String,
    },
}

/// `a, b or c`.
fn alternatives(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

fn list(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    quoted.join(", ")
}
