//! The file format of checkpoints: named tensors of f32, and metadata as text.

use crate::files::write_atomically;
use anyhow::{Context, Result, anyhow, ensure};
use candle_core::{Device, Tensor};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::HashMap;
use std::path::Path;

/// Name of the training checkpoint in a run's folder.
pub const CHECKPOINT: &str = "checkpoint.safetensors";
/// Name of the weights file in a run's folder.
pub const WEIGHTS: &str = "weights.safetensors";

const FORMAT: &str = "ancestral-checkpoint-2";

/// Entry of the metadata of a run whose variances were fitted again after training.
pub(super) const REFITTED: &str = "refitted";

/// Entry of the metadata with the gains of the network's output.
pub(super) const GAINS: &str = "gains";

/// Returns the name of a parameter's best value in a training checkpoint.
pub(super) fn best_name(parameter: &str) -> String {
    format!("best.{parameter}")
}

/// Contents of a checkpoint, from which the reader decides what it can be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contents {
    /// Everything that a run continues from.
    Training,
    /// The averaged parameters.
    Weights,
}

impl Contents {
    fn word(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Weights => "weights",
        }
    }
}

/// Writes a checkpoint.
///
/// * `metadata`: all but the format and the contents.
pub(super) fn write(
    path: &Path,
    contents: Contents,
    tensors: Vec<(String, Tensor)>,
    mut metadata: HashMap<String, String>,
) -> Result<()> {
    metadata.insert("format".into(), FORMAT.into());
    metadata.insert("contents".into(), contents.word().into());
    let mut bytes = Vec::new();
    for (name, tensor) in tensors {
        let values: Vec<f32> = tensor.flatten_all()?.to_vec1()?;
        let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        bytes.push((name, tensor.dims().to_vec(), raw));
    }
    let mut views = Vec::new();
    for (name, shape, raw) in &bytes {
        views.push((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), raw)?));
    }
    let file = safetensors::serialize(views, Some(metadata))?;
    write_atomically(path, |out| Ok(out.write_all(&file)?))
}

/// A checkpoint that has been read, before a run is made from it.
pub(super) struct CheckpointFile<'a> {
    pub(super) contents: Contents,
    metadata: HashMap<String, String>,
    tensors: SafeTensors<'a>,
}

impl<'a> CheckpointFile<'a> {
    /// Reads the bytes of a file.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self> {
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let metadata = header.metadata().clone().ok_or_else(|| anyhow!("it has no metadata"))?;
        let format = lookup(&metadata, "format")?;
        ensure!(format == FORMAT, "its format is `{format}`, not `{FORMAT}`");
        let contents = match lookup(&metadata, "contents")? {
            word if word == Contents::Training.word() => Contents::Training,
            _ => Contents::Weights,
        };
        Ok(Self {
            contents,
            tensors: SafeTensors::deserialize(bytes)?,
            metadata,
        })
    }

    /// Returns an entry of the metadata.
    pub(super) fn entry(&self, key: &str) -> Result<&str> {
        lookup(&self.metadata, key)
    }

    /// Returns an entry of the metadata that may be absent.
    pub(super) fn optional_entry(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// Copies a tensor to a device.
    pub(super) fn tensor(&self, name: &str, device: &Device) -> Result<Tensor> {
        let view = self
            .tensors
            .tensor(name)
            .map_err(|_| anyhow!("it lacks the tensor `{name}`"))?;
        read_tensor(&view, device).with_context(|| format!("tensor `{name}`"))
    }
}

fn lookup<'m>(metadata: &'m HashMap<String, String>, key: &str) -> Result<&'m str> {
    let value = metadata.get(key).map(String::as_str);
    value.ok_or_else(|| anyhow!("its metadata lacks `{key}`"))
}

fn read_tensor(view: &TensorView<'_>, device: &Device) -> Result<Tensor> {
    ensure!(view.dtype() == Dtype::F32, "its type is {:?}, not F32", view.dtype());
    let values: Vec<f32> = view
        .data()
        .chunks_exact(4)
        .map(|b| match b {
            &[a, b, c, d] => f32::from_le_bytes([a, b, c, d]),
            _ => f32::NAN,
        })
        .collect();
    ensure!(
        values.iter().all(|v| v.is_finite()),
        "it holds a value that is not finite"
    );
    Ok(Tensor::from_vec(values, view.shape(), device)?)
}
