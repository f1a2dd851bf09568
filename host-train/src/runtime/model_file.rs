//! Model files of any format, run by the core.

use crate::data::DataSpec;
use ancestral::model::{AlignedBytes, Header};
use ancestral::{F16, F32, FormatId, Model, W4A8, W8A8, W8A16};
use anyhow::{Context, Result};
use std::path::Path;

/// A model file in memory, checked.
pub struct ModelFile {
    /// Name for messages.
    pub name: String,
    bytes: AlignedBytes,
    header: Header,
}

/// A parsed model in the format of its file.
pub enum AnyModel<'a> {
    /// `f32`.
    F32(Model<'a, F32>),
    /// `f16`.
    F16(Model<'a, F16>),
    /// `w8a16`.
    W8A16(Model<'a, W8A16>),
    /// `w8a8`.
    W8A8(Model<'a, W8A8>),
    /// `w4a8`.
    W4A8(Model<'a, W4A8>),
}

/// Runs an expression with the model of an [`AnyModel`] of any format.
#[macro_export]
macro_rules! with_model {
    ($any:expr, $model:ident => $body:expr) => {
        match $any {
            $crate::runtime::model_file::AnyModel::F32($model) => $body,
            $crate::runtime::model_file::AnyModel::F16($model) => $body,
            $crate::runtime::model_file::AnyModel::W8A16($model) => $body,
            $crate::runtime::model_file::AnyModel::W8A8($model) => $body,
            $crate::runtime::model_file::AnyModel::W4A8($model) => $body,
        }
    };
}

impl ModelFile {
    /// Reads and checks a file.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read the model {}", path.display()))?;
        Self::from_bytes(&bytes, path.display().to_string())
    }

    /// Checks the bytes of a file called `name`.
    pub fn from_bytes(bytes: &[u8], name: String) -> Result<Self> {
        let bytes = AlignedBytes::new(bytes);
        let header = Header::read(&bytes).with_context(|| format!("{name} is not a usable model"))?;
        let file = Self { name, bytes, header };
        file.parse()?;
        Ok(file)
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Always `false` for a checked file.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Parses the model in its format.
    pub fn parse(&self) -> Result<AnyModel<'_>> {
        let model = match self.header.format {
            FormatId::F32 => Model::parse(&self.bytes).map(AnyModel::F32),
            FormatId::F16 => Model::parse(&self.bytes).map(AnyModel::F16),
            FormatId::W8A16 => Model::parse(&self.bytes).map(AnyModel::W8A16),
            FormatId::W8A8 => Model::parse(&self.bytes).map(AnyModel::W8A8),
            FormatId::W4A8 => Model::parse(&self.bytes).map(AnyModel::W4A8),
            other => anyhow::bail!("{}: this program does not run the format {other}", self.name),
        };
        model.with_context(|| format!("{} is not a usable model", self.name))
    }

    /// Returns the data set that the model was trained on, from the exporter's note.
    pub fn data(&self) -> Result<DataSpec> {
        let note = with_model!(self.parse()?, model => model.note());
        toml::from_str(note).with_context(|| {
            format!(
                "{} does not say what data it was made from: name a configuration with --config",
                self.name
            )
        })
    }

    /// γ_0 ..= γ_T.
    pub fn gamma(&self) -> Result<Vec<f32>> {
        Ok(with_model!(self.parse()?, model => model.step_table().gamma.to_vec()))
    }
}
