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
        "{file}, row {row}, {field}: {found:?} is not a number; write plain numbers separated by commas (a header is a first row without any number), or name a column of labels with `label_column`"
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
    /// A field that stands for no value.
    #[error(
        "{file}, row {row}, {field}: {found:?} stands for a missing value; remove the row or fill the value in (pandas: `dropna()`)"
    )]
    MissingValue {
        /// Path of the file.
        file: String,
        /// Row in the file, from 1.
        row: u64,
        /// Column of the value.
        field: Field,
        /// The text found there.
        found: String,
    },
    /// A number with a comma where a point should be.
    #[error(
        "{file}, row {row}, {field}: {found:?} has a decimal comma; write it with a point (pandas: `read_csv(…, sep=\";\", decimal=\",\")`, then `to_csv`)"
    )]
    DecimalComma {
        /// Path of the file.
        file: String,
        /// Row in the file, from 1.
        row: u64,
        /// Column of the value.
        field: Field,
        /// The text found there.
        found: String,
    },
    /// A quote that is not closed on its line.
    #[error(
        "{file}, row {row}, field {number}: the quote that opens here is not closed on its line; close or remove it"
    )]
    UnclosedQuote {
        /// Path of the file.
        file: String,
        /// Row in the file, from 1.
        row: u64,
        /// Position in the row, from 1.
        number: usize,
    },
    /// A file with the name of a text and other contents.
    #[error("{file} is {kind}, not comma-separated text: {remedy}")]
    NotText {
        /// Path of the file.
        file: String,
        /// Kind of its contents.
        kind: String,
        /// The remedy.
        remedy: &'static str,
    },
    /// A first row of numbers that are names of columns.
    #[error(
        "{file}: the first row {reason}, as a header does, but is taken as data; set `header = true` if it names the columns, or `header = false` if it is data"
    )]
    LikelyHeader {
        /// Path of the file.
        file: String,
        /// Property of the row.
        reason: String,
    },
    /// The index of a table, written as a column.
    #[error(
        "{file}, field 1: it has no name and numbers the rows, as the index that pandas writes; set `label_column = \"first\"` to leave it out, or write the file with `index=False`"
    )]
    IndexColumn {
        /// Path of the file.
        file: String,
    },
    /// No column has the name of the label.
    #[error("{file} has no column {asked:?}: set `label_column` to {}", names_or_numbers(.names))]
    UnknownLabel {
        /// Path of the file.
        file: String,
        /// The name in the configuration.
        asked: String,
        /// The fields of the first row; empty for an array.
        names: Vec<String>,
    },
    /// The label's number is above that of the last column.
    #[error("{file} has {found} columns and no column {asked}: correct `label_column`")]
    LabelBeyond {
        /// Path of the file.
        file: String,
        /// The number in the configuration.
        asked: usize,
        /// Columns in the file.
        found: usize,
    },
    /// A column has another name than in the data it should belong to.
    #[error("{file}, {field}: the column {expected:?} is expected here; give the same columns in the same order")]
    OtherColumn {
        /// Path of the file.
        file: String,
        /// The column.
        field: Field,
        /// Its name in the other file or in the configuration.
        expected: String,
    },
    /// A column whose values differ by less than the model's numbers can tell.
    #[error(
        "{file}, {field}: around {value} the values differ by less than 32-bit floats can tell; subtract a constant first, such as {value}"
    )]
    Resolution {
        /// Path of the file.
        file: String,
        /// Column of the values.
        field: Field,
        /// One of the values.
        value: String,
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
        "{file} has {found} values a row but `dim` is {expected}: correct `dim`, or set a label aside with `label_column`"
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
    #[error("{file} holds elements of type {found}: save it as f16, f32, f64, bool or integers of 8 to 64 bits")]
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

/// Returns the values that `label_column` may have for these names; an array has none.
fn names_or_numbers(names: &[String]) -> String {
    match names {
        [] => "\"first\", \"last\" or the number of a column, because an array has no names".to_owned(),
        _ => format!("one of {}, or to a number from 1", list(names)),
    }
}
