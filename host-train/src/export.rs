//! From a checkpoint to a model file: the step's embedding is folded into biases, the numbers are quantised, the schedule
//! becomes a table.

mod calibrate;
mod w8a16;

use crate::checkpoint::Run;
use crate::data::{Dataset, Kind};
use crate::runtime::ModelFile;
use ancestral::model::{LayerSpec, ModelSpec};
use ancestral::{F32, FormatId};
use anyhow::{Context, Result, bail, ensure};
use candle_core::Tensor;

/// The bytes of a model file and what the user should know about it.
pub struct Exported {
    /// The file.
    pub bytes: Vec<u8>,
    /// Sentences for the user.
    pub warnings: Vec<String>,
}

/// Above this the chain does not end in the normal that sampling starts from.
pub const PRIOR_LIMIT_NATS: f64 = 0.01;

/// Exports a run with its averaged parameters in place (see [`Run::averaged`]).
///
/// * `train`: the training rows; integer formats measure their activations on them.
pub fn export(run: &Run, format: FormatId, train: &Dataset) -> Result<Exported> {
    ensure!(
        train.dim == run.dim && train.kind == run.kind,
        "the training data is not the one that the checkpoint was trained on ({} dimensions, not {}, or other levels or units)",
        train.dim,
        run.dim
    );
    let spec = float_spec(run)?;
    let warnings = prior_warning(&spec, train);
    let bytes = match format {
        FormatId::F32 => spec.to_bytes()?,
        FormatId::W8A16 => {
            let float = ModelFile::from_bytes(&spec.to_bytes()?, "the float model".to_owned())?;
            let ranges = calibrate::measure(&float, train)?;
            w8a16::quantise(&spec, &ranges)?.to_bytes()?
        }
        other => bail!("this program does not export the format {other}"),
    };
    Ok(Exported { bytes, warnings })
}

/// The model in `f32` with the embedding folded into one row of biases per step.
pub fn float_spec(run: &Run) -> Result<ModelSpec<F32>> {
    let gamma: Vec<f32> = run.gamma.values()?.to_vec1()?;
    let steps = gamma.len() - 1;
    let at_steps = gamma.get(1..).context("the schedule has no step")?;
    let column = Tensor::from_slice(at_steps, (steps, 1), run.optimizer_device())?;
    let table: Vec<Vec<f32>> = run.network.biases(&column)?.to_vec2()?;
    let shape = run.network.shape();
    let sizes = shape.layers();
    let last = sizes.len() - 1;
    let mut layers = Vec::new();
    let mut first_row = 0;
    for (index, (weights, &(rows, columns))) in run.network.weights()?.into_iter().zip(&sizes).enumerate() {
        finite(&weights, columns, index)?;
        let biases: Vec<f32> = table
            .iter()
            .flat_map(|row| row.iter().skip(first_row).take(rows).copied())
            .collect();
        if let Some(bad) = biases.iter().position(|b| !b.is_finite()) {
            bail!(
                "layer {index}, row {}: a bias is not finite; the training has diverged",
                bad % rows
            );
        }
        layers.push(LayerSpec {
            rows,
            columns,
            relu: index != last,
            residual: shape.residual(index),
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
    Ok(ModelSpec {
        prediction: run.config.model.prediction.into(),
        clip: run.config.model.clip,
        levels,
        gamma,
        mean,
        scale,
        note: toml::to_string(&run.config.data)?,
        layers,
    })
}

fn finite(weights: &[f32], columns: usize, layer: usize) -> Result<()> {
    if let Some(bad) = weights.iter().position(|w| !w.is_finite()) {
        bail!(
            "layer {layer}, row {}, column {}: a weight is not finite; the training has diverged",
            bad / columns,
            bad % columns
        );
    }
    Ok(())
}

/// The prior term over the training rows, if it is too large.
fn prior_warning(spec: &ModelSpec<F32>, train: &Dataset) -> Vec<String> {
    let last = f64::from(spec.gamma.last().copied().unwrap_or(0.0));
    let energy: f64 = train.rows.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
    let values = train.rows.len();
    let nats = ancestral::schedule::prior_nats(last, energy, values) / values as f64;
    if nats <= PRIOR_LIMIT_NATS {
        return Vec::new();
    }
    vec![format!(
        "the prior term is {nats:.4} nats/dim, above {PRIOR_LIMIT_NATS}: the chain does not reach the standard normal that \
         samples start from; raise model.gamma_last (it is {last:.2}) and train again"
    )]
}

impl Run {
    /// Where the parameters are.
    fn optimizer_device(&self) -> &candle_core::Device {
        self.optimizer
            .slots
            .first()
            .map_or(&candle_core::Device::Cpu, |slot| slot.state.device())
    }
}
