//! The score of a run that has ended.

use crate::data::Split;
use crate::export::source::float_model;
use crate::model::gain::GainCurve;
use crate::progress::Progress;
use crate::runtime::evaluate::{Evaluation, evaluate};
use crate::study::refit::refit;
use crate::study::step_search::SearchSettings;
use crate::train::checkpoint::{CHECKPOINT, Run, WEIGHTS};
use anyhow::Result;
use candle_core::Device;
use serde::Serialize;
use serde_json::{Value, json};
use std::path::Path;

/// The score of a run's weights.
#[derive(Debug)]
pub struct WeightScore {
    /// On held-out rows.
    pub held_out: Evaluation,
    /// Least and largest gain of the network's output, if they were fitted.
    pub gains: Option<(f64, f64)>,
}

/// Scores the weights in a run's folder on held-out rows, in `f32`. With validation rows, the gains of the output and
/// the variances that were learned are fitted first.
pub fn score_weights(split: &Split, folder: &Path, progress: &Progress) -> Result<WeightScore> {
    let weights = folder.join(WEIGHTS);
    let mut averaged = Run::averaged(&weights, &Device::Cpu)?;
    // Nothing is fitted without them.
    if !split.validation.is_empty() {
        refit(&mut averaged, split, &SearchSettings::default(), progress)?;
        averaged.save_weights(&weights)?;
    }
    Ok(WeightScore {
        held_out: evaluate(&float_model(&averaged, &weights)?, &split.test, 1, 0, progress)?,
        gains: averaged.network.gains().map(GainCurve::range),
    })
}

/// The best measurement of a run on its validation rows.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct BestValidation {
    /// Number of steps after which the weights were the best.
    pub step: u64,
    /// Their negative ELBO in bits per dimension; for continuous data that of its density in the file's units.
    pub bits_per_dim: f64,
}

/// Returns the best measurement of a run on its validation rows, if there are any.
pub fn best_validation(run: &Run) -> Option<BestValidation> {
    let best = run.validations.best.as_ref()?.validation;
    Some(BestValidation {
        step: best.step,
        bits_per_dim: best.bits_per_dim + run.kind.bits_of_scale(),
    })
}

/// The result of a run as JSON.
pub fn run_result(run: &Run, folder: &Path, score: &WeightScore) -> Value {
    json!({
        "steps_trained": run.optimizer.step,
        "checkpoint": folder.join(CHECKPOINT),
        "weights": folder.join(WEIGHTS),
        "validation": best_validation(run),
        "gains": score.gains,
        "held_out": score.held_out,
    })
}
