//! Model files of any format, run by the core.

use crate::data::{DataSpec, Dataset, ValueKind};
use ancestral::model::{AlignedBytes, Header};
use ancestral::{FormatId, Model, for_each_format};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// A model file in memory, checked.
pub struct ModelFile {
    /// Name for messages.
    pub name: String,
    /// Its folder, at which the paths of its data begin.
    folder: PathBuf,
    bytes: AlignedBytes,
    header: Header,
}

macro_rules! any_model {
    ($($(#[$doc:meta])* $format:ident = $code:literal, $name:literal, $kind:ident;)*) => {
        /// A parsed model in the format of its file.
        pub enum AnyModel<'a> {
            $($(#[$doc])* $format(Model<'a, ancestral::$format>),)*
        }

        impl<'a> AnyModel<'a> {
            /// Parses a model in the format that its header names.
            fn parse(bytes: &'a AlignedBytes, header: &Header) -> Result<Self> {
                Ok(match header.format {
                    $(FormatId::$format => Self::$format(Model::parse(bytes)?),)*
                    other => anyhow::bail!("this program does not run the format {other}"),
                })
            }
        }
    };
}
for_each_format!(any_model);

/// Runs an expression with the model of an [`AnyModel`] of any format.
#[macro_export]
macro_rules! with_model {
    ($any:expr, $model:ident => $body:expr) => {{
        #[allow(unused_imports)] // in the module that defines it
        use $crate::match_model;
        ancestral::for_each_format!(match_model, $any, $model => $body;)
    }};
}

/// The arms of [`with_model!`].
#[doc(hidden)]
#[macro_export]
macro_rules! match_model {
    (
        $any:expr, $model:ident => $body:expr;
        $($(#[$doc:meta])* $format:ident = $code:literal, $name:literal, $kind:ident;)*
    ) => {
        match $any {
            $($crate::runtime::model_file::AnyModel::$format($model) => $body,)*
        }
    };
}

impl ModelFile {
    /// Reads and checks a file.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read the model {}", path.display()))?;
        let mut file = Self::from_bytes(&bytes, path.display().to_string())?;
        file.folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(file)
    }

    /// Checks the bytes of a file called `name`.
    pub fn from_bytes(bytes: &[u8], name: String) -> Result<Self> {
        let bytes = AlignedBytes::new(bytes);
        let header = Header::read(&bytes).with_context(|| format!("{name} is not a usable model"))?;
        let file = Self {
            name,
            folder: PathBuf::new(),
            bytes,
            header,
        };
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
        AnyModel::parse(&self.bytes, &self.header).with_context(|| format!("{} is not a usable model", self.name))
    }

    /// Returns the data set that the model was trained on, from the exporter's note.
    pub fn data(&self) -> Result<DataSpec> {
        let note = with_model!(self.parse()?, model => model.note());
        let data: DataSpec = toml::from_str(note).with_context(|| {
            format!(
                "{} does not say what data it was made from: name a configuration with --config",
                self.name
            )
        })?;
        Ok(data.anchored(&self.folder))
    }

    /// Returns the rows that the model can score, of which there are none: their dimension, units and columns.
    pub fn no_rows(&self) -> Result<Dataset> {
        let kind = self.parse().map(|model| {
            with_model!(model, model => match model.decoder() {
                decoder if decoder.levels == 0 => ValueKind::Continuous {
                    mean: decoder.mean.to_vec(),
                    scale: decoder.scale.to_vec(),
                },
                decoder => ValueKind::Levels { levels: decoder.levels },
            })
        });
        Ok(Dataset {
            name: self.name.clone(),
            dim: usize::from(self.header.dim),
            rows: Vec::new(),
            kind: kind?,
            columns: self.data().map(|data| data.columns).unwrap_or_default(),
            labels: None,
            files: Vec::new(),
            origins: Vec::new(),
        })
    }

    /// γ_0 ..= γ_T.
    pub fn gamma(&self) -> Result<Vec<f32>> {
        Ok(with_model!(self.parse()?, model => model.step_table().gamma.to_vec()))
    }
}
