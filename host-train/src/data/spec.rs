//! The `[data]` table of a run's configuration.

use serde::{Deserialize, Serialize};

use super::label::LabelColumn;
use super::one_or_many;
use super::row_count::RowCount;

/// The data set of a run, and how to read it.
///
/// Either `source` names all rows, of which some are held back. Or `train`, `validation` and `test` name the files of a
/// split that is already made. Every list of one entry may be written as that entry.
///
/// ```
/// # use host_train::data::DataSpec;
/// let spec: DataSpec = toml::from_str("source = \"windows.csv\"\nlabel_column = \"last\"").unwrap();
/// assert_eq!(spec.levels, None); // continuous values
/// let spec: DataSpec = toml::from_str("train = [\"a.csv\", \"b.csv\"]\ntest = \"c.csv\"").unwrap();
/// assert_eq!((spec.train.len(), spec.test.len()), (2, 1));
/// assert!(toml::from_str::<DataSpec>("source = \"digits\"\nsauce = 1").is_err());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSpec {
    /// `"digits"`, `"optdigits"`, `"ecg"`, `"mixture-1d"` or `"mixture-2d"` for a built-in set, or the path of a
    /// `.csv`, `.csv.gz`, `.npy` or `.npz` file, relative to the configuration's folder, or a list of such paths.
    #[serde(default, with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub source: Vec<String>,
    /// Files of the rows to learn from, in place of `source`.
    #[serde(default, with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub train: Vec<String>,
    /// Files of the rows for validation, beside `train`.
    #[serde(default, with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub validation: Vec<String>,
    /// Files of the test rows, beside `train`.
    #[serde(default, with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    /// Arrays inside an `.npz`, one after the other; not needed where there is only one.
    #[serde(default, with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub array: Vec<String>,
    /// Arrays of the rows for validation; by default those of `array`. Without `validation` they lie in the `.npz` of
    /// the training rows.
    #[serde(default, with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub validation_array: Vec<String>,
    /// Arrays of the test rows; by default those of `array`. Without `test` they lie in the `.npz` of the training
    /// rows.
    #[serde(default, with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub test_array: Vec<String>,
    /// Presence of a header in the first row of a `.csv`; by default a first row without any number is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<bool>,
    /// Names of the columns without the label. A header must have the same; without a header they stand for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// Number of levels of discretized data (values `0..levels`); absent for continuous data. `digits` and
    /// `optdigits` have 17 levels, `ecg` none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub levels: Option<u16>,
    /// Least and greatest value of bounded continuous data, shown to the model as −1 and 1. Then `model.clip` can keep
    /// estimates within it. Other continuous data is brought to mean 0 and standard deviation 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<[f64; 2]>,
    /// Values in a row, to be checked against the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dim: Option<usize>,
    /// Column that is a label: `"none"`, `"first"`, `"last"`, its name, or its number from 1. It is no value; it may
    /// hold text. The built-in digits always have theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_column: Option<LabelColumn>,
    /// Rows held back for evaluation, as a number or a fraction: by default 297 of `digits`, 287 of `ecg`, a tenth of a
    /// file. Those of `optdigits` are fixed: 1,797 digits by other writers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_rows: Option<RowCount>,
    /// Rows on which steps and variances are chosen after training, as a number or a fraction, 0 by default. They are
    /// neither trained on, because a network errs less on rows that it has memorized, nor reported on.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub validation_rows: RowCount,
    /// Seed of the permutation that chooses the rows held back, and those for validation.
    #[serde(default)]
    pub split_seed: u64,
}

impl DataSpec {
    /// Returns the specification of `source` with every other setting at its default.
    pub fn new(source: impl Into<String>) -> Self {
        Self {
            source: vec![source.into()],
            ..Self::default()
        }
    }

    /// Returns the files of the rows that are learned from, or the name of a built-in set.
    pub fn learned(&self) -> &[String] {
        if self.train.is_empty() {
            &self.source
        } else {
            &self.train
        }
    }

    /// Returns the name of the data for titles: its files or its built-in set.
    pub fn title(&self) -> String {
        self.learned().join(", ")
    }

    /// Returns whether at least `rows` rows may be set aside for validation. A fraction or a file may hold any number.
    pub fn may_validate_on(&self, rows: usize) -> bool {
        let own = !self.validation.is_empty() || !self.validation_array.is_empty();
        own || match self.validation_rows {
            RowCount::Count(count) => count >= rows,
            RowCount::Fraction(_) => true,
        }
    }

    /// Takes over the names of the columns that a file has, unless they are given or too long for a model's note.
    pub fn keep_columns(&mut self, columns: &[String]) {
        let length: usize = columns.iter().map(String::len).sum();
        if self.columns.is_empty() && length <= MAX_NAMES_LENGTH {
            self.columns = columns.to_vec();
        }
    }

    /// Returns whether both give the same rows: names of columns and an absent label column make no difference.
    pub fn gives_rows_of(&self, other: &Self) -> bool {
        let plain = |spec: &Self| {
            let label_column = spec.label_column.clone().filter(|label| *label != LabelColumn::None);
            Self {
                columns: Vec::new(),
                label_column,
                ..spec.clone()
            }
        };
        plain(self) == plain(other)
    }
}

/// Bytes of all names of columns that a model file carries in its note: a firmware holds the note, too.
const MAX_NAMES_LENGTH: usize = 1024;

fn is_zero(rows: &RowCount) -> bool {
    *rows == RowCount::Count(0)
}
