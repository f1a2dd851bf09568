//! The model in `f32`: the embedding of the step becomes biases, the schedule becomes a table.

use crate::data::ValueKind;
use crate::model::variance::VarianceTable;
use crate::study::table::ChosenSteps;
use crate::train::checkpoint::Run;
use ancestral::F32;
use ancestral::model::{LayerSpec, ModelHead, ModelSpec};
use anyhow::{Context, Result};
use candle_core::Tensor;

/// Returns the model in `f32`, with the embedding folded into one row of biases per step.
pub fn float_spec(run: &Run) -> Result<ModelSpec<F32>> {
    let mut spec = fold(run, run.gamma.values()?.to_vec1()?)?;
    spec.head.variance = run.variance.as_ref().map(VarianceTable::spec).transpose()?;
    Ok(spec)
}

/// Returns the same model with other steps: the network answers for any γ.
pub fn spec_with(run: &Run, table: &ChosenSteps) -> Result<ModelSpec<F32>> {
    let gamma: Vec<f32> = table.gamma.iter().map(|&g| g as f32).collect();
    let mut spec = fold(run, gamma)?;
    spec.head.variance = table.variance();
    Ok(spec)
}

fn fold(run: &Run, gamma: Vec<f32>) -> Result<ModelSpec<F32>> {
    let steps = gamma.len() - 1;
    let gamma_of_steps = gamma.get(1..).context("the schedule has no step")?;
    let column = Tensor::from_slice(gamma_of_steps, (steps, 1), run.device())?;
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
    let head = ModelHead {
        prediction: run.read_out().prediction,
        clip: run.read_out().clip,
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
