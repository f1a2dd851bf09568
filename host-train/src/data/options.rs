//! Settings for reading one file.

use super::label::LabelColumn;
use super::spec::DataSpec;

/// Settings of a reader.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ReadOptions {
    /// Presence of a header; told from the first row if absent.
    pub header: Option<bool>,
    /// The column to set aside.
    pub label: Option<LabelColumn>,
    /// Arrays of an `.npz`.
    pub arrays: Vec<String>,
}

impl ReadOptions {
    /// Returns the settings of a configuration for the arrays `arrays`.
    pub fn new(spec: &DataSpec, arrays: &[String]) -> Self {
        Self {
            header: spec.header,
            label: spec.label_column.clone(),
            arrays: arrays.to_vec(),
        }
    }
}
