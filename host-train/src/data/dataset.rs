//! Rows in the units that the model sees.

use super::read_report::ReadReport;
use super::table::Origin;
use crate::rng::{RandomSource, Share};

/// Relation between a row's numbers and those in the file.
#[derive(Debug, Clone, PartialEq)]
pub enum ValueKind {
    /// Whole numbers `k` in `0..levels`, shown to the model as `x = −1 + 2k/(levels − 1)`.
    Levels {
        /// Number of levels, at least 2.
        levels: u16,
    },
    /// Real numbers, shown to the model as `x = (raw − mean)/scale`.
    Continuous {
        /// Mean of each column over the training rows, in the file's units. Length `dim`.
        mean: Vec<f32>,
        /// Standard deviation of each column over the training rows, in the file's units, positive. Length `dim`.
        scale: Vec<f32>,
    },
}

impl ValueKind {
    /// Returns the model's value for `raw` in column `column`.
    pub(super) fn to_model(&self, column: usize, raw: f64) -> f32 {
        match self {
            ValueKind::Levels { levels } => (-1.0 + 2.0 * raw / f64::from(levels - 1)) as f32,
            ValueKind::Continuous { mean, scale } => {
                ((raw - f64::from(mean[column])) / f64::from(scale[column])) as f32
            }
        }
    }

    /// Converts a row from the file's units to the model's; the inverse of [`ValueKind::to_raw`].
    pub fn from_raw(&self, row: &[f32]) -> Vec<f32> {
        let columns = row.iter().enumerate();
        columns
            .map(|(column, &raw)| self.to_model(column, f64::from(raw)))
            .collect()
    }

    /// Returns the bits per dimension by which a density costs more in the file's units than in the model's; 0 for
    /// levels, which have no density.
    pub fn bits_of_scale(&self) -> f64 {
        match self {
            ValueKind::Levels { .. } => 0.0,
            ValueKind::Continuous { scale, .. } => {
                scale.iter().map(|s| f64::from(*s).log2()).sum::<f64>() / scale.len() as f64
            }
        }
    }

    /// Converts a row of `dim` model values to the file's units: levels (not rounded), or the measured quantity.
    pub fn to_raw(&self, row: &[f32]) -> Vec<f32> {
        match self {
            ValueKind::Levels { levels } => {
                let half = f32::from(levels - 1) / 2.0;
                row.iter().map(|x| (x + 1.0) * half).collect()
            }
            ValueKind::Continuous { mean, scale } => {
                let units = mean.iter().zip(scale);
                row.iter()
                    .zip(units)
                    .map(|(x, (mean, scale))| mean + scale * x)
                    .collect()
            }
        }
    }
}

/// Rows of one data set, in model units.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// `digits`, or the file's name.
    pub name: String,
    /// Values in a row.
    pub dim: usize,
    /// All rows, one after the other: `len() × dim` model values.
    pub rows: Vec<f32>,
    /// Meaning of the values.
    pub kind: ValueKind,
    /// Names of the columns; empty without a header.
    pub columns: Vec<String>,
    /// Label of each row as its file has it, where a label column is set aside.
    pub labels: Option<Vec<String>>,
    /// Names of the files.
    pub files: Vec<String>,
    /// Place of each row in them.
    pub origins: Vec<Origin>,
}

impl Dataset {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len() / self.dim
    }

    /// Returns whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Row `index`: `dim` model values.
    ///
    /// # Panics
    /// If `index` is not below [`len`](Self::len), as a slice does.
    pub fn row(&self, index: usize) -> &[f32] {
        &self.rows[index * self.dim..(index + 1) * self.dim]
    }

    /// Draws the rows of a batch, or of one rank's share of it, uniformly with replacement.
    pub fn draw(&self, rows: impl Into<Share>, source: &mut dyn RandomSource) -> Vec<f32> {
        self.gather(&source.draw_indices(self.len(), rows.into()))
    }

    fn gather(&self, indices: &[usize]) -> Vec<f32> {
        indices.iter().flat_map(|&index| self.row(index)).copied().collect()
    }

    /// Number of levels; `None` for continuous data.
    pub fn levels(&self) -> Option<u16> {
        match self.kind {
            ValueKind::Levels { levels } => Some(levels),
            ValueKind::Continuous { .. } => None,
        }
    }

    /// Row `index` as levels, exactly as they stand in the file; `None` for continuous data.
    ///
    /// # Panics
    /// If `index` is not below [`len`](Self::len), as a slice does.
    pub fn row_levels(&self, index: usize) -> Option<Vec<u16>> {
        self.levels()?;
        // A level survives the way to f32 and back: neighbors are 2/65534 apart, 256 times an f32's step near ±1.
        Some(
            self.kind
                .to_raw(self.row(index))
                .iter()
                .map(|level| level.round() as u16)
                .collect(),
        )
    }

    /// Row `index` as bytes; `None` for continuous data and for more than 256 levels.
    ///
    /// # Panics
    /// If `index` is not below [`len`](Self::len), as a slice does.
    pub fn row_bytes(&self, index: usize) -> Option<Vec<u8>> {
        self.row_levels(index)?
            .into_iter()
            .map(|level| u8::try_from(level).ok())
            .collect()
    }

    /// The rows of `indices`, in that order; a row may be taken more than once.
    ///
    /// # Panics
    /// If an index is not below [`len`](Self::len), as a slice does.
    pub fn select(&self, indices: &[usize]) -> Dataset {
        let label = |labels: &Vec<String>| indices.iter().map(|&index| labels[index].clone()).collect();
        Dataset {
            name: self.name.clone(),
            dim: self.dim,
            rows: self.gather(indices),
            kind: self.kind.clone(),
            columns: self.columns.clone(),
            labels: self.labels.as_ref().map(label),
            files: self.files.clone(),
            origins: indices.iter().map(|&index| self.origins[index]).collect(),
        }
    }
}

/// A data set in three parts: for training, for choices about the model, and for its evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    /// Rows to train on.
    pub train: Dataset,
    /// Rows on which steps and variances are chosen; empty unless the configuration sets some aside.
    pub validation: Dataset,
    /// Rows held back for the evaluation: nothing about them, not even their mean, enters the training.
    pub test: Dataset,
    /// Sentences about the reading.
    pub reading: ReadReport,
}

impl Split {
    /// Returns the rows that choices are made on: those for validation, or the training rows if there are none.
    pub fn choices(&self) -> &Dataset {
        if self.validation.is_empty() {
            &self.train
        } else {
            &self.validation
        }
    }
}
