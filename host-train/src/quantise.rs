//! From a float model to one of the integer formats.
//!
//! [`calibrate`](fn@calibrate) looks at what goes through the float model along whole chains ([`states`], [`moments`]), chooses a unit for each row
//! of weights and one for the hidden activations so that the ELBO loses least, and rounds with feedback ([`rounding`]).
//! [`finetune`](mod@finetune) goes on from there: the integer network is trained to give what the float one gives. [`integers`] is the only place where real
//! numbers become a file's integers; [`proof`] says which models are refused.

pub mod finetune;
pub mod integers;
pub mod moments;
pub mod proof;
pub mod rounding;
pub mod states;

use crate::data::Dataset;
use crate::runtime::{AnyModel, ModelFile};
use ancestral::fixed::CONSTANT_ONE;
use ancestral::model::{AlignedBytes, LayerSpec, ModelSpec, VarianceSpec};
use ancestral::number::Number;
use ancestral::schedule::posterior;
use ancestral::{F32, Model};
use anyhow::{Context as _, Result, bail};
use finetune::FineTune;
use integers::{IntegerFormat, MAX_EXPONENT, Network, Quantised};
use serde::Serialize;
use states::Teacher;

/// What [`quantise`] did, for the user.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Number format.
    pub format: String,
    /// States that the error is measured on: training rows with other noise, and other chains, than calibration and fine-tuning see.
    pub states: usize,
    /// `Σ_t weight_t·⟨‖x̂_int − x̂_float‖²⟩` in nats per dimension after calibration: what quantisation adds to the ELBO where
    /// its error is independent of the model's own.
    pub calibrated_nats_per_dim: f64,
    /// The same after fine-tuning.
    pub finetuned_nats_per_dim: Option<f64>,
    /// On the states of calibration: the error with the best single unit for the hidden activations of all steps.
    pub one_unit_nats_per_dim: f64,
    /// The same with the units chosen, which may differ between steps by powers of two.
    pub chosen_units_nats_per_dim: f64,
    /// The largest hidden activation that the largest unit holds, as a share of the largest seen.
    pub hidden_range: f64,
    /// For each step, which power of two that unit is divided by; empty where all steps have one.
    pub exponents: Vec<u8>,
    /// The largest hidden activation at the step where it is largest, by the one at the step where it is smallest.
    pub range_over_steps: f64,
}

/// A quantised model and how it was made.
pub struct Made<F: IntegerFormat> {
    /// To be written.
    pub spec: ModelSpec<F>,
    /// To be shown.
    pub summary: Summary,
}

/// Rows and chains that calibration looks at, that decide when fine-tuning was best, and that the error is reported on.
const CALIBRATION: states::Amount = states::Amount {
    rows: 96,
    chains: 64,
    seed: 0xCA11,
};
const JUDGES: states::Amount = states::Amount {
    rows: 64,
    chains: 32,
    seed: 0x70D6,
};
const CHECK: states::Amount = states::Amount {
    rows: 64,
    chains: 32,
    seed: 0xC4EC,
};

/// Quantises a float model.
///
/// * `train`: the training rows;
/// * `finetune`: how to go on after calibration, if at all.
pub fn quantise<F: IntegerFormat>(
    float: &ModelSpec<F32>,
    train: &Dataset,
    finetune: Option<&FineTune>,
    progress: impl Fn(u64, f64),
) -> Result<Made<F>> {
    if let Some(settings) = finetune {
        settings.check()?;
    }
    proof::check_float(float)?;
    let file = ModelFile::from_bytes(&float.to_bytes()?, "the float model".to_owned())?;
    let AnyModel::F32(model) = file.parse()? else {
        bail!("quantisation starts from the float model")
    };
    let seen = states::collect(&model, train, &CALIBRATION);
    let moments = moments::measure(&model, &seen)?;
    let teacher = Teacher::new(&model, seen);
    let check = Teacher::new(&model, states::collect(&model, train, &CHECK));

    let dim = model.dim() as f64;
    let total = |quantised: &Quantised<F>| -> Result<f64> {
        let damage = damage(float, quantised, &check)?;
        Ok(damage.iter().sum::<f64>() / dim)
    };
    let calibrated = calibrate::<F>(float, &moments, &teacher)?;
    let mut network = calibrated.network.clone();
    let mut quantised = network.quantise::<F>()?;
    // Before fine-tuning, which would learn from sums that have overflowed; and again after it.
    proof::check_integers(&quantised)?;
    let mut summary = Summary {
        format: F::ID.name().to_owned(),
        states: check.states.len(),
        calibrated_nats_per_dim: total(&quantised)?,
        finetuned_nats_per_dim: None,
        one_unit_nats_per_dim: calibrated.one_unit / dim,
        chosen_units_nats_per_dim: calibrated.chosen / dim,
        hidden_range: calibrated.share,
        exponents: calibrated.network.exponents.clone(),
        range_over_steps: moments.range_over_steps(),
    };
    if let Some(settings) = finetune {
        let judges = Teacher::new(&model, states::collect(&model, train, &JUDGES));
        let judge = |network: &Network| -> Result<f64> {
            let damage = damage(float, &network.quantise::<F>()?, &judges)?;
            Ok(damage.iter().sum())
        };
        finetune::run::<F>(&mut network, float, train, settings, judge, progress)?;
        quantised = network.quantise::<F>()?;
        summary.finetuned_nats_per_dim = Some(total(&quantised)?);
    }
    proof::check_integers(&quantised)?;
    Ok(Made {
        spec: assemble(float, quantised),
        summary,
    })
}

/// Shares of the largest hidden activation seen that are tried as the largest that can be held. More than the largest seen leaves room for
/// what calibration did not meet; less than that saturates the few for the sake of the many. They span an octave: steps may
/// divide by powers of two.
const SHARES: [f64; 6] = [1.25, 1.1, 1.0, 0.9, 0.8, 0.7];

/// Units that differ between steps are taken where they save more than this share of the error.
const WORTH: f64 = 0.05;

/// What [`calibrate`] found.
pub struct Calibrated {
    /// In real units, on the grid that the integers will have.
    pub network: Network,
    /// Which share of the largest activation the largest unit holds.
    pub share: f64,
    /// What is lost with the best single unit, in nats per row.
    pub one_unit: f64,
    /// What is lost with the units chosen.
    pub chosen: f64,
}

/// A choice of units and what it costs.
struct Choice {
    share: f64,
    exponents: Vec<u8>,
    loss: f64,
}

/// Chooses units and rounds.
pub fn calibrate<F: IntegerFormat>(
    float: &ModelSpec<F32>,
    moments: &moments::Moments,
    teacher: &Teacher,
) -> Result<Calibrated> {
    let largest = moments.largest_hidden()?;
    let mut network = Network::from_float::<F>(float);
    rounding::round_all(&mut network, moments);
    // Steps do not influence one another here, so the losses of a step at each of its units are all there is to know.
    let mut loss_at = |share: f64| -> Result<Vec<f64>> {
        network.hidden_unit = network.unit_for::<F>(share * largest);
        damage(float, &network.quantise::<F>()?, teacher)
    };
    let (mut single, mut mixed): (Option<Choice>, Option<Choice>) = (None, None);
    for share in SHARES {
        let top = if F::EXPONENTS { MAX_EXPONENT } else { 0 };
        let losses: Vec<Vec<f64>> = (0..=top)
            .map(|exponent| loss_at(share / f64::from(1u32 << exponent)))
            .collect::<Result<_>>()?;
        for (exponent, loss) in losses.iter().enumerate() {
            keep_better(
                &mut single,
                Choice {
                    share: share / (1u32 << exponent) as f64,
                    exponents: Vec::new(),
                    loss: loss.iter().sum(),
                },
            );
        }
        let steps = losses.first().map_or(0, Vec::len);
        let best_at = |step: usize| {
            let at = losses.iter().filter_map(|l| l.get(step).copied()).enumerate();
            at.fold((0u8, f64::INFINITY), |best, (exponent, loss)| {
                if loss < best.1 { (exponent as u8, loss) } else { best }
            })
        };
        let best: Vec<(u8, f64)> = (0..steps).map(best_at).collect();
        keep_better(
            &mut mixed,
            Choice {
                share,
                loss: best.iter().map(|(_, loss)| loss).sum(),
                exponents: best.into_iter().map(|(exponent, _)| exponent).collect(),
            },
        );
    }
    let (single, mixed) = (
        single.context("no unit was tried")?,
        mixed.context("no unit was tried")?,
    );
    let one_unit = single.loss;
    let per_step = float.layers.iter().all(|l| l.biases.len() > l.rows);
    let mut set = |choice: &Choice| {
        network.hidden_unit = network.unit_for::<F>(choice.share * largest);
        network.exponents.clone_from(&choice.exponents);
        damage(float, &network.quantise::<F>()?, teacher).map(|loss| loss.iter().sum::<f64>())
    };
    // Measured as it will be: in one network the steps share the rows' shifts.
    let mut choice = single;
    if per_step && F::EXPONENTS {
        let loss = set(&mixed)?;
        if loss < (1.0 - WORTH) * one_unit {
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

fn keep_better(best: &mut Option<Choice>, new: Choice) {
    if best.as_ref().is_none_or(|b| new.loss < b.loss) {
        *best = Some(new);
    }
}

/// What the integer network's error costs at each step, in nats per row; see [`Summary::calibrated_nats_per_dim`].
pub fn damage<F: IntegerFormat>(
    float: &ModelSpec<F32>,
    quantised: &Quantised<F>,
    teacher: &Teacher,
) -> Result<Vec<f64>> {
    let bytes = AlignedBytes::new(&assemble(float, quantised.clone()).to_bytes()?);
    Ok(teacher.damage(&Model::<F>::parse(&bytes)?))
}

/// The float model with another network in it.
pub fn assemble<F: IntegerFormat>(float: &ModelSpec<F32>, network: Quantised<F>) -> ModelSpec<F> {
    let mut spec = with_layers(float, network.layers);
    spec.head.exponents = network.exponents;
    spec
}

/// The head of the float model around the layers of another format.
pub fn with_layers<F: ancestral::Format>(float: &ModelSpec<F32>, layers: Vec<LayerSpec<F>>) -> ModelSpec<F> {
    let mut head = float.head.clone();
    head.variance = head.variance.map(|v| within::<F::Number>(&v, &head.gamma));
    ModelSpec { head, layers }
}

/// The largest standard deviation that a constant in Q1.14 holds.
const LARGEST_DEVIATION: f64 = i16::MAX as f64 / CONSTANT_ONE as f64;

/// The variances with the deviations that the number format cannot hold cut to the largest that it can. That happens in a direction in which the
/// data is widely spread, at the step from the prior, and costs `½ (q − 1 − ln q)` nats there, q what the variance is cut by: 0.12 where the deviation
/// would be 2.74. The file's own ELBO counts it.
fn within<N: Number>(variance: &VarianceSpec, gamma: &[f32]) -> VarianceSpec {
    let steps = gamma.len().saturating_sub(1).max(1);
    let dim = (variance.ratios.len() / steps).max(1);
    let mut held = variance.clone();
    for (ratios, pair) in held.ratios.chunks_mut(dim).zip(gamma.windows(2)) {
        let &[s, t] = pair else { continue };
        let own = posterior(f64::from(s), f64::from(t)).deviation;
        for ratio in ratios.iter_mut().filter(|r| r.is_finite()) {
            if N::wide_constant(own * ratio.sqrt()).is_none() {
                *ratio = (LARGEST_DEVIATION / own).powi(2);
            }
        }
    }
    held
}
