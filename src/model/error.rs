//! Errors of reading a model.

use super::layout::VERSION;
use crate::format::FormatId;
use core::fmt;

/// Reason why bytes are not a model that this build can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ModelError {
    /// The file does not begin with `aVDM`.
    NotAModel,
    /// The file was written by a version that this build does not read.
    Version {
        /// Version of the file.
        found: u16,
    },
    /// The file is shorter than a header, or than its header says.
    Truncated {
        /// Length that the header gives, in bytes.
        expected: u32,
        /// Length that was passed, in bytes.
        found: u32,
    },
    /// The checksum does not match: bits have changed since the file was written.
    Checksum {
        /// Checksum in the file.
        stored: u32,
        /// Checksum of the file's bytes.
        computed: u32,
    },
    /// This version does not know the code of the file's number format.
    UnknownFormat {
        /// The code.
        code: u8,
    },
    /// The file holds another number format than the one asked for.
    WrongFormat {
        /// Format of the file.
        found: FormatId,
        /// Format asked for.
        expected: FormatId,
    },
    /// A header field has a value that makes no sense.
    Field {
        /// Name of the field.
        name: &'static str,
    },
    /// A layer's record does not fit its neighbors or the file.
    Layer {
        /// Index of the layer, from 0.
        index: u16,
        /// Description of the problem.
        problem: &'static str,
    },
    /// The bytes do not begin at a multiple of 8 in memory.
    Misaligned,
    /// The model is larger than the memory set aside for it.
    Capacity {
        /// Number of dimensions needed.
        dim: u16,
        /// Width needed.
        width: u16,
    },
}

impl ModelError {
    /// Returns the sentence of a failed build: what [`include_model!`](crate::include_model) prints.
    pub const fn sentence(&self) -> &'static str {
        match self {
            Self::NotAModel => "this file is not an ancestral model: it does not begin with 'aVDM'",
            Self::Version { .. } => "this model was written for another version of the file format: export it again",
            Self::Truncated { .. } => "this model is cut short: copy or export it again",
            Self::Checksum { .. } => "this model is damaged (its CRC-32 does not match): copy or export it again",
            Self::UnknownFormat { .. } => "this model has a number format that this version does not know",
            Self::WrongFormat { .. } => "this model has another number format than the one named here",
            Self::Field { .. } => "a field of this model's header makes no sense: export it again",
            Self::Layer { .. } => "a layer of this model does not fit the others or the file: export it again",
            Self::Misaligned => "the model's bytes must begin at a multiple of 8 in memory",
            Self::Capacity { .. } => "the model is larger than the memory set aside for it",
        }
    }
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())?;
        match self {
            Self::Version { found } => {
                write!(f, " (version {found}; this build reads version {})", VERSION)
            }
            Self::Truncated { expected, found } => write!(f, " ({found} bytes of {expected})"),
            Self::Checksum { stored, computed } => {
                write!(f, " (stored {stored:08x}, computed {computed:08x})")
            }
            Self::UnknownFormat { code } => write!(f, " (code {code})"),
            Self::WrongFormat { found, expected } => write!(f, " ({found}, not {expected})"),
            Self::Field { name } => write!(f, " ({name})"),
            Self::Layer { index, problem } => write!(f, " (layer {index}: {problem})"),
            Self::Capacity { dim, width } => write!(f, " (it needs {dim} dimensions and a width of {width})"),
            Self::NotAModel | Self::Misaligned => Ok(()),
        }
    }
}

impl core::error::Error for ModelError {}
