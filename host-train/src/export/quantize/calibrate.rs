//! Calibration: the choice of all units.

use super::assemble::damage;
use super::formats::{IntegerFormat, MAX_EXPONENT};
use super::integers::ScaledNetwork;
use super::moments::Moments;
use super::rounding::round_all;
use super::teacher::Teacher;
use ancestral::F32;
use ancestral::model::ModelSpec;
use anyhow::{Context as _, Result};

/// Shares of the largest hidden activation seen, tried as the largest that can be held.
///
/// More than 1 leaves a margin for states that calibration did not see; less than 1 saturates a few activations for a
/// finer unit of the others. The shares span an octave, because steps may divide by powers of two.
const SHARES: [f64; 6] = [1.25, 1.1, 1.0, 0.9, 0.8, 0.7];

/// Least share of the error that units which differ between steps must save.
const MIN_SAVING: f64 = 0.05;

/// Result of [`calibrate`].
pub struct Calibrated {
    /// The network in real units, on the grid of its integers.
    pub network: ScaledNetwork,
    /// Share of the largest activation that the largest unit holds.
    pub share: f64,
    /// Loss with the best single unit, in nats per row.
    pub one_unit: f64,
    /// Loss with the chosen units, in nats per row.
    pub chosen: f64,
}

/// A choice of units and its loss.
struct Choice {
    share: f64,
    exponents: Vec<u8>,
    loss: f64,
}

/// Chooses units and rounds.
pub fn calibrate<F: IntegerFormat>(float: &ModelSpec<F32>, moments: &Moments, teacher: &Teacher) -> Result<Calibrated> {
    let largest = moments.largest_hidden()?;
    let mut network = ScaledNetwork::from_float::<F>(float);
    round_all(&mut network, moments);
    let (single, mixed) = try_units::<F>(&mut network, float, largest, teacher)?;
    let one_unit = single.loss;
    let per_step = float.layers.iter().all(|l| l.biases.len() > l.rows);
    let mut set = |choice: &Choice| {
        network.hidden_unit = network.unit_for::<F>(choice.share * largest);
        network.exponents.clone_from(&choice.exponents);
        damage(float, &network.to_integers::<F>()?, teacher).map(|loss| loss.iter().sum::<f64>())
    };
    // Measured in one network, as it will be used: there the steps share the rows' shifts.
    let mut choice = single;
    if per_step && F::EXPONENTS {
        let loss = set(&mixed)?;
        if loss < (1.0 - MIN_SAVING) * one_unit {
            choice = Choice { loss, ..mixed };
        }
    }
    set(&choice)?;
    Ok(Calibrated {
        network,
        share: choice.share,
        one_unit,
        chosen: choice.loss,
    })
}

/// Tries every unit; returns the best single one, and the best with a unit for each step.
///
/// Steps do not influence one another here, so the loss of each step at each of its units decides.
fn try_units<F: IntegerFormat>(
    network: &mut ScaledNetwork,
    float: &ModelSpec<F32>,
    largest: f64,
    teacher: &Teacher,
) -> Result<(Choice, Choice)> {
    let mut loss_of = |share: f64| -> Result<Vec<f64>> {
        network.hidden_unit = network.unit_for::<F>(share * largest);
        damage(float, &network.to_integers::<F>()?, teacher)
    };
    let (mut single, mut mixed): (Option<Choice>, Option<Choice>) = (None, None);
    for share in SHARES {
        let top = if F::EXPONENTS { MAX_EXPONENT } else { 0 };
        let losses: Vec<Vec<f64>> = (0..=top)
            .map(|exponent| loss_of(share / f64::from(1u32 << exponent)))
            .collect::<Result<_>>()?;
        for (exponent, loss) in losses.iter().enumerate() {
            let choice = Choice {
                share: share / (1u32 << exponent) as f64,
                exponents: Vec::new(),
                loss: loss.iter().sum(),
            };
            keep_better(&mut single, choice);
        }
        keep_better(&mut mixed, best_of_each_step(share, &losses));
    }
    let context = "calibration tried no unit of the hidden activations: please report this";
    Ok((single.context(context)?, mixed.context(context)?))
}

/// Chooses the best exponent of each step.
///
/// * `losses`: of each exponent, the loss of every step.
fn best_of_each_step(share: f64, losses: &[Vec<f64>]) -> Choice {
    let steps = losses.first().map_or(0, Vec::len);
    let best_of = |step: usize| {
        let of_step = losses.iter().filter_map(|l| l.get(step).copied()).enumerate();
        of_step.fold((0u8, f64::INFINITY), |best, (exponent, loss)| {
            if loss < best.1 { (exponent as u8, loss) } else { best }
        })
    };
    let best: Vec<(u8, f64)> = (0..steps).map(best_of).collect();
    Choice {
        share,
        loss: best.iter().map(|(_, loss)| loss).sum(),
        exponents: best.into_iter().map(|(exponent, _)| exponent).collect(),
    }
}

fn keep_better(best: &mut Option<Choice>, new: Choice) {
    if best.as_ref().is_none_or(|b| new.loss < b.loss) {
        *best = Some(new);
    }
}
