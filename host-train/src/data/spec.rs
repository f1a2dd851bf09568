//! The `[data]` table of a run's configuration.

use serde::{Deserialize, Serialize};

/// The data set of a run, and how to read it.
///
/// ```
/// # use host_train::data::DataSpec;
/// let spec: DataSpec = toml::from_str("source = \"windows.csv\"\nlabel_column = \"last\"").unwrap();
/// assert_eq!(spec.levels, None); // continuous values
/// assert!(toml::from_str::<DataSpec>("source = \"digits\"\nsauce = 1").is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSpec {
    /// `"digits"`, `"optdigits"`, `"ecg"`, `"mixture-1d"` or `"mixture-2d"` for a built-in set, or the path of a
    /// `.csv`, `.csv.gz`, `.npy` or `.npz` file, relative to the configuration's folder.
    pub source: String,
    /// The array inside an `.npz`; not needed where there is only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub array: Option<String>,
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
    /// Column to drop because it is a label. The built-in digits are always read without it.
    #[serde(default)]
    pub label_column: LabelColumn,
    /// Rows held back for evaluation: by default 297 of `digits`, 287 of `ecg`, a tenth of a file. Those of `optdigits`
    /// are fixed: 1,797 digits by other writers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_rows: Option<usize>,
    /// Rows on which steps and variances are chosen after training, 0 by default. They are neither trained on, because
    /// a network errs less on rows that it has memorized, nor reported on.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub validation_rows: usize,
    /// Seed of the permutation that chooses the rows held back, and those for validation.
    #[serde(default)]
    pub split_seed: u64,
}

impl DataSpec {
    /// Returns the specification of `source` with every other setting at its default.
    pub fn new(source: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            array: None,
            levels: None,
            range: None,
            dim: None,
            label_column: LabelColumn::None,
            test_rows: None,
            validation_rows: 0,
            split_seed: 0,
        }
    }
}

fn is_zero(rows: &usize) -> bool {
    *rows == 0
}

/// Column that is a label and not a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelColumn {
    /// Every column is a value.
    #[default]
    None,
    /// The last column is dropped, unread: it may hold text.
    Last,
}
