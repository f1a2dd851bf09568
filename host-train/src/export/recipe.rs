//! From a run to the bytes of a model file.

use crate::data::Dataset;
use crate::export::fold::{float_spec, spec_with};
use crate::export::half::round_to_half;
use crate::export::quantize::finetune::FineTune;
use crate::export::quantize::formats::IntegerFormat;
use crate::export::quantize::{Summary, proof, quantize_model};
use crate::files::write_atomically;
use crate::progress::Progress;
use crate::runtime::evaluate::PRIOR_LIMIT_NATS;
use crate::study::table::Table;
use crate::train::checkpoint::Run;
use ancestral::model::ModelSpec;
use ancestral::{F32, FormatId, W4A8, W8A8, W8A16};
use anyhow::{Result, bail, ensure};
use std::path::Path;

/// The bytes of a model file, and remarks about them for the user.
pub struct Exported {
    /// Contents of the file.
    pub bytes: Vec<u8>,
    /// Sentences for the user.
    pub warnings: Vec<String>,
    /// Report of the quantization, for an integer format.
    pub summary: Option<Summary>,
}

impl Exported {
    /// Writes the model file.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_atomically(path, |out| Ok(out.write_all(&self.bytes)?))
    }
}

/// Instructions for a model file.
#[derive(Clone, Copy, Debug)]
pub struct Recipe<'a> {
    /// Number format.
    pub format: FormatId,
    /// Fine-tuning of an integer format after calibration, if any.
    pub finetune: Option<FineTune>,
    /// Steps in place of those that the run was trained with.
    pub table: Option<&'a Table>,
}

impl Recipe<'_> {
    /// The run as it was trained, calibrated for an integer format.
    pub fn plain(format: FormatId) -> Self {
        Self {
            format,
            finetune: None,
            table: None,
        }
    }
}

/// Exports a run with its averaged parameters in place (see [`Run::averaged`]).
///
/// * `train`: training rows, on which integer formats are calibrated.
///
/// # Errors
///
/// If `train` is not the data of the run, or a value does not fit the format.
pub fn export(run: &Run, recipe: &Recipe, train: &Dataset, progress: &Progress) -> Result<Exported> {
    ensure!(
        train.dim == run.dim && train.kind == run.kind,
        "the training data is not the one that the checkpoint was trained on ({} dimensions, not {}, or other levels or units)",
        train.dim,
        run.dim
    );
    let spec = match recipe.table {
        None => float_spec(run)?,
        Some(table) => spec_with(run, table)?,
    };
    let finetune = recipe.finetune.as_ref();
    proof::check_float(&spec)?;
    let warnings = prior_warning(&spec, train, run.config.model.learn_gamma);
    let (bytes, summary) = match recipe.format {
        FormatId::F32 => (spec.to_bytes()?, None),
        FormatId::F16 => (round_to_half(&spec)?.to_bytes()?, None),
        FormatId::W8A16 => quantize_to_bytes::<W8A16>(&spec, train, finetune, progress)?,
        FormatId::W8A8 => quantize_to_bytes::<W8A8>(&spec, train, finetune, progress)?,
        FormatId::W4A8 => quantize_to_bytes::<W4A8>(&spec, train, finetune, progress)?,
        other => bail!("this program does not export the format {other}"),
    };
    Ok(Exported {
        bytes,
        warnings,
        summary,
    })
}

fn quantize_to_bytes<F: IntegerFormat>(
    spec: &ModelSpec<F32>,
    train: &Dataset,
    finetune: Option<&FineTune>,
    progress: &Progress,
) -> Result<(Vec<u8>, Option<Summary>)> {
    progress.begin(&format!("calibrating {}", F::ID.name()), 0);
    let steps = finetune.map_or(0, |settings| settings.steps);
    let quantized = quantize_model::<F>(spec, train, finetune, |step, loss| {
        if step == 1 {
            progress.begin(&format!("fine-tuning {}", F::ID.name()), steps);
        }
        progress.set(step, format!("{loss:.4} nats per row"));
    })?;
    Ok((quantized.spec.to_bytes()?, Some(quantized.summary)))
}

/// Warns of a prior term over the training rows that is too large.
fn prior_warning(spec: &ModelSpec<F32>, train: &Dataset, learned: bool) -> Vec<String> {
    let last = f64::from(spec.gamma.last().copied().unwrap_or(0.0));
    let energy: f64 = train.rows.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
    let values = train.rows.len();
    let nats = ancestral::schedule::prior_nats(last, energy, values) / values as f64;
    if nats <= PRIOR_LIMIT_NATS {
        return Vec::new();
    }
    let remedy = if learned {
        "train with more steps T, or with learn_gamma = false and a model.gamma_last above that"
    } else {
        "raise model.gamma_last and train again"
    };
    vec![format!(
        "the prior term is {nats:.4} nats/dim, above {PRIOR_LIMIT_NATS}: the chain does not reach the standard normal that \
         samples start from (it ends at gamma {last:.2}); {remedy}"
    )]
}
