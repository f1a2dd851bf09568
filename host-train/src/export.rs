//! From a checkpoint to a model file: the step's embedding is folded into biases, the numbers are rounded
//! ([`quantize`]), the schedule becomes a table.

pub mod quantize;

use crate::data::{Dataset, ValueKind};
use crate::export::quantize::finetune::FineTune;
use crate::export::quantize::formats::IntegerFormat;
use crate::export::quantize::{Summary, proof, quantize_model, with_layers};
use crate::model::variance::VarianceTable;
use crate::runtime::evaluate::PRIOR_LIMIT_NATS;
use crate::study::table::Table;
use crate::train::checkpoint::Run;
use ancestral::model::{LayerSpec, ModelSpec};
use ancestral::{F16, F32, FormatId, W4A8, W8A8, W8A16};
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
    let integers = |made: (Vec<u8>, Summary)| (made.0, Some(made.1));
    let (bytes, summary) = match recipe.format {
        FormatId::F32 => (spec.to_bytes()?, None),
        FormatId::F16 => (half(&spec)?.to_bytes()?, None),
        FormatId::W8A16 => integers(made::<W8A16>(&spec, train, finetune, progress)?),
        FormatId::W8A8 => integers(made::<W8A8>(&spec, train, finetune, progress)?),
        FormatId::W4A8 => integers(made::<W4A8>(&spec, train, finetune, progress)?),
        other => bail!("this program does not export the format {other}"),
    };
    Ok(Exported {
        bytes,
        warnings,
        summary,
    })
}

fn made<F: IntegerFormat>(
    spec: &ModelSpec<F32>,
    train: &Dataset,
    finetune: Option<&FineTune>,
    progress: impl Fn(u64, f64),
) -> Result<(Vec<u8>, Summary)> {
    let made = quantize_model::<F>(spec, train, finetune, progress)?;
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
    Ok(ModelSpec {
        variance: run.variance.as_ref().map(VarianceTable::spec).transpose()?,
        ..spec_at(run, run.gamma.values()?.to_vec1()?)?
    })
}

/// The same with other steps: the network answers for any γ.
pub fn spec_with(run: &Run, table: &Table) -> Result<ModelSpec<F32>> {
    let gamma: Vec<f32> = table.gamma.iter().map(|&g| g as f32).collect();
    Ok(ModelSpec {
        variance: table.variance(),
        ..spec_at(run, gamma)?
    })
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
        ValueKind::Levels { levels } => (*levels, Vec::new(), Vec::new()),
        ValueKind::Continuous { mean, scale } => (0, mean.clone(), scale.clone()),
    };
    Ok(ModelSpec {
        prediction: run.config.model.prediction,
        clip: run.config.model.clip,
        levels,
        gamma,
        mean,
        scale,
        note: toml::to_string(&run.config.data)?,
        exponents: Vec::new(),
        variance: None,
        eta: run.config.model.eta,
        layers,
    })
}

/// The prior term over the training rows, if it is too large.
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
