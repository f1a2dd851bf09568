//! One field of a `.csv`: a number, or the reason why it is none.

use super::error::DataError;
use super::table::{RawTable, is_finite};

/// Characters of a bad field that a message repeats.
const SHOWN_CHARS: usize = 40;

/// Texts that stand for a value that is not there. `NaN` is a number that is not finite.
const MISSING: [&str; 10] = ["", "na", "n/a", "#n/a", "null", "none", "?", "-", ".", "missing"];

/// Reason why a field holds no usable value.
pub(super) enum FieldFault {
    /// Text.
    NotANumber,
    /// A text that stands for no value.
    Missing,
    /// A number with a comma where a point should be.
    DecimalComma,
    /// NaN, infinite, or too large for 32-bit floating point.
    NotFinite,
}

/// Returns the number in a field.
pub(super) fn parse(text: &str) -> Result<f64, FieldFault> {
    match text.parse::<f64>() {
        Err(_) if names_missing(text) => Err(FieldFault::Missing),
        Err(_) if text.matches(',').count() == 1 && text.replace(',', ".").parse::<f64>().is_ok() => {
            Err(FieldFault::DecimalComma)
        }
        Err(_) => Err(FieldFault::NotANumber),
        Ok(value) if !is_finite(value) => Err(FieldFault::NotFinite),
        Ok(value) => Ok(value),
    }
}

/// Returns whether a text stands for a value that is not there.
pub(super) fn names_missing(text: &str) -> bool {
    MISSING.contains(&text.to_ascii_lowercase().as_str())
}

/// Returns the error of the value in column `index` of `table`, with its place.
pub(super) fn fault_error(table: &RawTable, row: u64, index: usize, text: &str, fault: FieldFault) -> DataError {
    let (file, field, found) = (table.name(), table.field(index), shortened(text));
    match fault {
        FieldFault::NotANumber => DataError::NotANumber {
            file,
            row,
            field,
            found,
        },
        FieldFault::Missing => DataError::MissingValue {
            file,
            row,
            field,
            found,
        },
        FieldFault::DecimalComma => DataError::DecimalComma {
            file,
            row,
            field,
            found,
        },
        FieldFault::NotFinite => DataError::NotFinite {
            file,
            row,
            field,
            found,
        },
    }
}

/// Returns `text` cut to a length that fits into a message.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
