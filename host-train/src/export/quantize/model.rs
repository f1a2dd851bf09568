//! The whole way from a float model to an integer one.

use super::assemble::{assemble, damage};
use super::calibrate::calibrate;
use super::finetune::{self, FineTune};
use super::formats::IntegerFormat;
use super::integers::{IntegerNetwork, ScaledNetwork};
use super::moments::measure;
use super::proof;
use super::states::{Amount, collect};
use super::teacher::Teacher;
use crate::data::Dataset;
use crate::runtime::model_file::{AnyModel, ModelFile};
use ancestral::F32;
use ancestral::model::ModelSpec;
use anyhow::{Result, bail};
use serde::Serialize;

/// Report of [`quantize_model`] for the user.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Number format.
    pub format: String,
    /// Number of states that the error is measured on: training rows with other noise, and other chains, than
    /// calibration and fine-tuning see.
    pub states: usize,
    /// Error `Σ_t weight_t·⟨‖x̂_int − x̂_float‖²⟩` over all calls of the network after calibration, in nats per
    /// dimension.
    ///
    /// Quantization adds it to the ELBO if its error is independent of the model's own.
    pub calibrated_nats_per_dim: f64,
    /// The same after fine-tuning.
    pub finetuned_nats_per_dim: Option<f64>,
    /// Error on the states of calibration with the best single unit for the hidden activations of all calls.
    pub one_unit_nats_per_dim: f64,
    /// The same with the chosen units, which may differ between calls by powers of two.
    pub chosen_units_nats_per_dim: f64,
    /// Largest hidden activation that the largest unit holds, as a share of the largest seen.
    pub hidden_range: f64,
    /// Power of two that the largest unit is divided by at each call of the network; empty if all calls have one unit.
    pub exponents: Vec<u8>,
    /// Ratio of the largest hidden activations at the call where they are largest and the call where they are smallest.
    pub range_over_steps: f64,
}

/// A quantized model, and the report of its making.
pub struct QuantizedModel<F: IntegerFormat> {
    /// The model, ready to be written.
    pub spec: ModelSpec<F>,
    /// The report.
    pub summary: Summary,
}

/// States of calibration.
const CALIBRATION_STATES: Amount = Amount {
    rows: 96,
    chains: 64,
    seed: 0xCA11,
};

/// States on which the best network of fine-tuning is selected.
const SELECTION_STATES: Amount = Amount {
    rows: 64,
    chains: 32,
    seed: 0x70D6,
};

/// States on which the error is reported.
const REPORT_STATES: Amount = Amount {
    rows: 64,
    chains: 32,
    seed: 0xC4EC,
};

/// Quantizes a float model.
///
/// * `train`: the training rows;
/// * `settings`: those of fine-tuning, if wanted;
/// * `progress(step, loss)`: called after each step of fine-tuning.
pub fn quantize_model<F: IntegerFormat>(
    float: &ModelSpec<F32>,
    train: &Dataset,
    settings: Option<&FineTune>,
    progress: impl Fn(u64, f64),
) -> Result<QuantizedModel<F>> {
    if let Some(settings) = settings {
        settings.check()?;
    }
    proof::check_float(float)?;
    let file = ModelFile::from_bytes(&float.to_bytes()?, "the float model".to_owned())?;
    let AnyModel::F32(model) = file.parse()? else {
        bail!("quantization starts from a float model: give one in the format f32")
    };
    let seen = collect(&model, train, &CALIBRATION_STATES);
    let moments = measure(&model, &seen)?;
    let teacher = Teacher::new(&model, seen);
    let check = Teacher::new(&model, collect(&model, train, &REPORT_STATES));

    let dim = model.dim() as f64;
    let total = |quantized: &IntegerNetwork<F>| -> Result<f64> {
        let damage = damage(float, quantized, &check)?;
        Ok(damage.iter().sum::<f64>() / dim)
    };
    let calibrated = calibrate::<F>(float, &moments, &teacher)?;
    let mut network = calibrated.network.clone();
    let mut quantized = network.to_integers::<F>()?;
    // Checked before fine-tuning, which would learn from overflowed sums, and again after it.
    proof::check_integers(&quantized)?;
    let mut summary = Summary {
        format: F::ID.name().to_owned(),
        states: check.states.len(),
        calibrated_nats_per_dim: total(&quantized)?,
        finetuned_nats_per_dim: None,
        one_unit_nats_per_dim: calibrated.one_unit / dim,
        chosen_units_nats_per_dim: calibrated.chosen / dim,
        hidden_range: calibrated.share,
        exponents: calibrated.network.exponents.clone(),
        range_over_steps: moments.range_over_steps(),
    };
    if let Some(settings) = settings {
        let selection = Teacher::new(&model, collect(&model, train, &SELECTION_STATES));
        let error_of = |network: &ScaledNetwork| -> Result<f64> {
            let damage = damage(float, &network.to_integers::<F>()?, &selection)?;
            Ok(damage.iter().sum())
        };
        finetune::finetune::<F>(&mut network, float, train, settings, error_of, progress)?;
        quantized = network.to_integers::<F>()?;
        summary.finetuned_nats_per_dim = Some(total(&quantized)?);
    }
    proof::check_integers(&quantized)?;
    Ok(QuantizedModel {
        spec: assemble(float, quantized),
        summary,
    })
}
