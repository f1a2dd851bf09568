//! From a checkpoint to a model file: the step's embedding is folded into biases, the numbers are rounded
//! ([`quantise`](mod@crate::quantise)), the schedule becomes a table.

use crate::checkpoint::Run;
use crate::data::{Dataset, Kind};
use crate::quantise::finetune::FineTune;
use crate::quantise::integers::IntegerFormat;
use crate::quantise::{Summary, proof, quantise, with_layers};
use crate::schedule::Table;
use crate::variance::VarianceTable;
use ancestral::model::{LayerSpec, ModelHead, ModelSpec};
use ancestral::{F16, F32, FormatId, for_each_format};
use anyhow::{Context, Result, bail, ensure};
use candle_core::Tensor;
use half::f16;

/// The bytes of a model file and what the user should know about it.
pub struct Exported {
    /// The file.
    pub bytes: Vec<u8>,
    /// Sentences for the user.
    pub warnings: Vec<String>,
    /// How the integers were found, where there are any.
    pub summary: Option<Summary>,
}

/// Above this the chain does not end in the normal that sampling starts from.
pub const PRIOR_LIMIT_NATS: f64 = 0.01;

/// What is made of a run.
#[derive(Clone, Copy, Debug)]
pub struct Recipe<'a> {
    /// Number format.
    pub format: FormatId,
    /// How an integer format goes on after calibration, if at all.
    pub finetune: Option<FineTune>,
    /// Other steps than those that the run was trained with.
    pub table: Option<&'a Table>,
}

impl Recipe<'_> {
    /// The run as it was trained, calibrated where the format has integers.
    pub fn plain(format: FormatId) -> Self {
        Self {
            format,
            finetune: None,
            table: None,
        }
    }
}

/// The file in the format of an identifier, and how its integers were found: float formats implement [`FromFloat`], integer
/// formats [`IntegerFormat`].
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
    (@integer $format:ident, $spec:expr, $train:expr, $finetune:expr, $progress:expr) => {{
        let (bytes, summary) = made::<ancestral::$format>($spec, $train, $finetune, $progress)?;
        (bytes, Some(summary))
    }};
}

/// Exports a run with its averaged parameters in place (see [`Run::averaged`]).
///
/// * `train`: the training rows; integer formats are calibrated on them;
/// * `progress(step, loss)`: called while fine-tuning.
pub fn export(run: &Run, recipe: &Recipe, train: &Dataset, progress: impl Fn(u64, f64)) -> Result<Exported> {
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
    let (bytes, summary) = for_each_format!(convert, recipe.format, (&spec, train, finetune, progress),);
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
        half(spec)
    }
}

fn made<F: IntegerFormat>(
    spec: &ModelSpec<F32>,
    train: &Dataset,
    finetune: Option<&FineTune>,
    progress: impl Fn(u64, f64),
) -> Result<(Vec<u8>, Summary)> {
    let made = quantise::<F>(spec, train, finetune, progress)?;
    Ok((made.spec.to_bytes()?, made.summary))
}

/// The model with weights and biases in half precision.
pub fn half(spec: &ModelSpec<F32>) -> Result<ModelSpec<F16>> {
    let mut layers = Vec::new();
    for (index, layer) in spec.layers.iter().enumerate() {
        let round = |values: &[f32], width: usize| -> Result<Vec<f16>> {
            let halves: Vec<f16> = values.iter().map(|&v| f16::from_f32(v)).collect();
            if let Some(bad) = halves.iter().position(|h| !h.is_finite()) {
                bail!(
                    "layer {index}, row {}: the value {} is beyond the range of half precision (65504)",
                    bad / width % layer.rows,
                    values.get(bad).copied().unwrap_or(f32::NAN)
                );
            }
            Ok(halves)
        };
        layers.push(LayerSpec {
            rows: layer.rows,
            columns: layer.columns,
            relu: layer.relu,
            residual: layer.residual,
            packed: false,
            weights: round(&layer.weights, layer.columns)?,
            biases: round(&layer.biases, 1)?,
            requant: Vec::new(),
        });
    }
    Ok(with_layers(spec, layers))
}

/// The model in `f32` with the embedding folded into one row of biases per step.
pub fn float_spec(run: &Run) -> Result<ModelSpec<F32>> {
    let mut spec = spec_at(run, run.gamma.values()?.to_vec1()?)?;
    spec.head.variance = run.variance.as_ref().map(VarianceTable::spec).transpose()?;
    Ok(spec)
}

/// The same with other steps: the network answers for any γ.
pub fn spec_with(run: &Run, table: &Table) -> Result<ModelSpec<F32>> {
    let gamma: Vec<f32> = table.gamma.iter().map(|&g| g as f32).collect();
    let mut spec = spec_at(run, gamma)?;
    spec.head.variance = table.variance();
    Ok(spec)
}

fn spec_at(run: &Run, gamma: Vec<f32>) -> Result<ModelSpec<F32>> {
    let steps = gamma.len() - 1;
    let at_steps = gamma.get(1..).context("the schedule has no step")?;
    let column = Tensor::from_slice(at_steps, (steps, 1), run.device())?;
    let table: Vec<Vec<f32>> = run.network.biases(&column)?.to_vec2()?;
    let shape = run.network.shape();
    let sizes = shape.layers();
    let last = sizes.len() - 1;
    let mut layers = Vec::new();
    let mut first_row = 0;
    for (index, (weights, &(rows, columns))) in run.network.weights()?.into_iter().zip(&sizes).enumerate() {
        let biases: Vec<f32> = table
            .iter()
            .flat_map(|row| row.iter().skip(first_row).take(rows).copied())
            .collect();
        layers.push(LayerSpec {
            rows,
            columns,
            relu: index != last,
            residual: shape.residual(index),
            packed: false,
            weights,
            biases,
            requant: Vec::new(),
        });
        first_row += rows;
    }
    let (levels, mean, scale) = match &run.kind {
        Kind::Levels { levels } => (*levels, Vec::new(), Vec::new()),
        Kind::Continuous { mean, scale } => (0, mean.clone(), scale.clone()),
    };
    let head = ModelHead {
        prediction: run.config.model.prediction.into(),
        clip: run.config.model.clip,
        levels,
        gamma,
        mean,
        scale,
        note: toml::to_string(&run.config.data)?,
        eta: run.config.model.eta,
        ..ModelHead::default()
    };
    Ok(ModelSpec { head, layers })
}

/// The prior term over the training rows, if it is too large.
fn prior_warning(spec: &ModelSpec<F32>, train: &Dataset, learned: bool) -> Vec<String> {
    let last = f64::from(spec.head.gamma.last().copied().unwrap_or(0.0));
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
