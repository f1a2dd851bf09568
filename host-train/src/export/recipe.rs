//! From a run to the bytes of a model file.

use crate::data::{Dataset, ValueKind};
use crate::export::fold::{float_spec, spec_with};
use crate::export::half::round_to_half;
use crate::export::quantize::finetune::FineTune;
use crate::export::quantize::formats::IntegerFormat;
use crate::export::quantize::{Summary, proof, quantize_model};
use crate::files::write_atomically;
use crate::model::variance::VarianceKind;
use crate::progress::Progress;
use crate::runtime::evaluate::PRIOR_LIMIT_NATS;
use crate::runtime::model_file::ModelFile;
use crate::runtime::sample::sample_many;
use crate::runtime::sample_variance::VarianceRatio;
use crate::study::table::ChosenSteps;
use crate::train::advice::raise_last_gamma;
use crate::train::checkpoint::Run;
use ancestral::model::ModelSpec;
use ancestral::{F16, F32, FormatId, for_each_format};
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
    pub table: Option<&'a ChosenSteps>,
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

/// The file in the format of an identifier, and how its integers were found: float formats implement [`FromFloat`],
/// integer formats [`IntegerFormat`].
macro_rules! convert {
    (
        $id:expr, ($spec:expr, $train:expr, $finetune:expr, $progress:expr),
        $($(#[$doc:meta])* $format:ident = $code:literal, $name:literal, $kind:ident;)*
    ) => {
        match $id {
            $(FormatId::$format => convert!(@$kind $format, $spec, $train, $finetune, $progress),)*
            other => bail!("this program does not export the format {other}"),
        }
    };
    (@float $format:ident, $spec:expr, $train:expr, $finetune:expr, $progress:expr) => {
        (ancestral::$format::from_float($spec)?.to_bytes()?, None)
    };
    (@integer $format:ident, $spec:expr, $train:expr, $finetune:expr, $progress:expr) => {
        quantize_to_bytes::<ancestral::$format>($spec, $train, $finetune, $progress)?
    };
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
    let mut warnings = prior_warning(&spec, train, run.config.model.learn_gamma);
    warnings.extend(fit_warning(run, recipe.table));
    let (bytes, summary) = for_each_format!(convert, recipe.format, (&spec, train, finetune, progress),);
    warnings.extend(variance_warning(&bytes, train, progress)?);
    Ok(Exported {
        bytes,
        warnings,
        summary,
    })
}

/// Float formats, into which a model is converted weight by weight.
trait FromFloat: ancestral::Format {
    fn from_float(spec: &ModelSpec<F32>) -> Result<ModelSpec<Self>>;
}

impl FromFloat for F32 {
    fn from_float(spec: &ModelSpec<F32>) -> Result<ModelSpec<F32>> {
        Ok(spec.clone())
    }
}

impl FromFloat for F16 {
    fn from_float(spec: &ModelSpec<F32>) -> Result<ModelSpec<F16>> {
        round_to_half(spec)
    }
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

/// Chains whose variance is compared with the data's, and the seed of their noise.
const VARIED: (usize, u64) = (300, 0x5A3D);

/// Warns of samples that are not as varied as the training rows.
fn variance_warning(bytes: &[u8], train: &Dataset, progress: &Progress) -> Result<Option<String>> {
    let file = ModelFile::from_bytes(bytes, "the model".to_owned())?;
    let (count, seed) = VARIED;
    let samples = sample_many(&file, count, seed, progress)?;
    Ok(VarianceRatio::new(&samples, train).and_then(|ratio| ratio.remark(&file.name)))
}

/// Warns of variances of continuous data that follow the training rows alone.
fn fit_warning(run: &Run, table: Option<&ChosenSteps>) -> Option<String> {
    let (own_variances, unseen) = match table {
        None => (run.variance.is_some(), run.refitted),
        Some(table) => {
            let own = table.variance != VarianceKind::Posterior || !table.deviations.is_empty();
            (own, table.unseen)
        }
    };
    if unseen || !own_variances || matches!(run.kind, ValueKind::Levels { .. }) {
        return None;
    }
    let remedy = match run.config.data.may_validate_on(2) {
        false => "set data.validation_rows to at least 2 and train again",
        true => "export the run's weights.safetensors, which `host-train train` writes at its end",
    };
    Some(format!(
        "the variances were fitted on training rows alone, so they are too small for other rows: {remedy}"
    ))
}

/// Warns of a prior term over the training rows that is too large.
fn prior_warning(spec: &ModelSpec<F32>, train: &Dataset, learned: bool) -> Vec<String> {
    let last = f64::from(spec.head.gamma.last().copied().unwrap_or(0.0));
    let energy: f64 = train.rows.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
    let values = train.rows.len();
    let nats = ancestral::schedule::prior_nats(last, energy, values) / values as f64;
    if nats <= PRIOR_LIMIT_NATS {
        return Vec::new();
    }
    let remedy = raise_last_gamma(learned, last);
    vec![format!(
        "the prior term is {nats:.4} nats/dim, above {PRIOR_LIMIT_NATS}: the chain does not reach the standard normal that \
         samples start from (it ends at gamma {last:.2}); {remedy}, and train again"
    )]
}
