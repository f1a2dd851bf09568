//! The column that is a label.

use serde::{Deserialize, Serialize};

use super::error::DataError;

/// Column that is a label and not a value.
///
/// ```
/// # use host_train::data::{DataSpec, LabelColumn};
/// let read = |text: &str| toml::from_str::<DataSpec>(text).unwrap().label_column;
/// assert_eq!(read("label_column = \"last\""), Some(LabelColumn::Last));
/// assert_eq!(read("label_column = \"species\""), Some(LabelColumn::Named("species".into())));
/// assert_eq!(read("label_column = 3"), Some(LabelColumn::Number(3)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "LabelText", into = "LabelText")]
pub enum LabelColumn {
    /// Every column is a value.
    None,
    /// The first column.
    First,
    /// The last column.
    Last,
    /// The column of this number, from 1.
    Number(usize),
    /// The column of this name in the header.
    Named(String),
}

/// A label column as a configuration writes it.
#[derive(Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "\"none\", \"first\", \"last\", a column's name or its number from 1 is needed"
)]
enum LabelText {
    Number(usize),
    Text(String),
}

impl From<LabelText> for LabelColumn {
    fn from(text: LabelText) -> Self {
        match text {
            LabelText::Number(number) => Self::Number(number),
            LabelText::Text(text) => match text.as_str() {
                "none" => Self::None,
                "first" => Self::First,
                "last" => Self::Last,
                _ => Self::Named(text),
            },
        }
    }
}

impl From<LabelColumn> for LabelText {
    fn from(column: LabelColumn) -> Self {
        match column {
            LabelColumn::None => Self::Text("none".into()),
            LabelColumn::First => Self::Text("first".into()),
            LabelColumn::Last => Self::Text("last".into()),
            LabelColumn::Number(number) => Self::Number(number),
            LabelColumn::Named(name) => Self::Text(name),
        }
    }
}

/// Returns the position of the label column among the `width` columns of a file, if there is one.
///
/// * `names`: the fields of the first row; empty for an array.
///
/// # Errors
///
/// If there is no such column, or no other.
pub(super) fn label_position(
    file: &str,
    label: Option<&LabelColumn>,
    width: usize,
    names: &[String],
) -> Result<Option<usize>, DataError> {
    let file = file.to_owned();
    let index = match label {
        None | Some(LabelColumn::None) => return Ok(None),
        Some(LabelColumn::First) => 0,
        Some(LabelColumn::Last) => width.saturating_sub(1),
        Some(LabelColumn::Number(number)) => number.saturating_sub(1),
        Some(LabelColumn::Named(name)) => match names.iter().position(|found| found == name) {
            Some(index) => index,
            None => {
                return Err(DataError::UnknownLabel {
                    file,
                    asked: name.clone(),
                    names: names.to_vec(),
                });
            }
        },
    };
    match index {
        _ if width < 2 => Err(DataError::Empty { file }),
        _ if index >= width => Err(DataError::LabelBeyond {
            file,
            asked: index + 1,
            found: width,
        }),
        _ => Ok(Some(index)),
    }
}
