//! The model in `f32`: the embedding of the step becomes biases, the schedule becomes a table.

use crate::data::ValueKind;
use crate::model::variance::VarianceTable;
use crate::study::table::ChosenSteps;
use crate::train::checkpoint::Run;
use crate::train::config::DecoderKind;
use ancestral::F32;
use ancestral::model::{DecoderSpec, LayerSpec, ModelHead, ModelSpec};
use ancestral::schedule::snr;
use anyhow::{Context, Result};
use candle_core::Tensor;

/// Returns the model in `f32`, with the embedding folded into one row of biases per call of the network.
pub fn float_spec(run: &Run) -> Result<ModelSpec<F32>> {
    let gamma: Vec<f32> = run.gamma.values()?.to_vec1()?;
    let deviations = decoder_deviations(run, &gamma)?;
    let mut spec = fold(run, gamma, deviations)?;
    spec.head.variance = run.variance.as_ref().map(VarianceTable::spec).transpose()?;
    Ok(spec)
}

/// Returns the same model with other steps: the network answers for any γ.
pub fn spec_with(run: &Run, table: &ChosenSteps) -> Result<ModelSpec<F32>> {
    let gamma: Vec<f32> = table.gamma.iter().map(|&g| g as f32).collect();
    let mut spec = fold(run, gamma, table.deviations.clone())?;
    spec.head.variance = table.variance();
    Ok(spec)
}

/// Returns the standard deviations of the network decoder of continuous data; none for other decoders.
fn decoder_deviations(run: &Run, gamma: &[f32]) -> Result<Vec<f64>> {
    if run.config.model.decoder == DecoderKind::Factorized || matches!(run.kind, ValueKind::Levels { .. }) {
        return Ok(Vec::new());
    }
    let first = f64::from(*gamma.first().context("the schedule is empty")?);
    let ratios = match &run.variance {
        Some(variance) => variance.decoder_ratios()?,
        None => None,
    };
    let ratios = ratios.unwrap_or_else(|| vec![1.0; run.dim]);
    Ok(ratios.iter().map(|ratio| (ratio / snr(first)).sqrt()).collect())
}

/// * `deviations`: of the network decoder of continuous data.
fn fold(run: &Run, gamma: Vec<f32>, deviations: Vec<f64>) -> Result<ModelSpec<F32>> {
    let decoder = match run.config.model.decoder {
        DecoderKind::Factorized => DecoderSpec::Factorized,
        DecoderKind::Network => DecoderSpec::Network { deviations },
    };
    let gamma_of_calls = gamma.get(usize::from(!decoder.is_network())..);
    let gamma_of_calls = gamma_of_calls.context("the schedule has no step")?;
    let column = Tensor::from_slice(gamma_of_calls, (gamma_of_calls.len(), 1), run.device())?;
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
    let gains = match run.network.gains() {
        None => Vec::new(),
        Some(gains) => gamma.iter().map(|&g| gains.interpolate(f64::from(g))).collect(),
    };
    let head = ModelHead {
        prediction: run.read_out().prediction,
        clip: run.read_out().clip,
        decoder,
        levels,
        gamma,
        gains,
        mean,
        scale,
        note: toml::to_string(&run.config.data)?,
        eta: run.config.model.eta,
        ..ModelHead::default()
    };
    Ok(ModelSpec { head, layers })
}
