//! The ELBO that a run is trained by, with its gradients.

use super::draws::TimeDraws;
use super::objective::Objective;
use crate::train::config::Time;
use crate::train::step_result::StepResult;
use anyhow::Result;
use candle_core::Tensor;

/// An ELBO that can be trained.
pub trait Elbo {
    /// Returns terms and gradients for the rows `x`, the gradients scaled by `unit`.
    fn evaluate(&self, objective: &Objective<'_>, x: &Tensor, draws: TimeDraws, unit: f64) -> Result<StepResult>;
}

/// Returns the ELBO for a kind of time.
pub fn select_elbo(time: Time) -> &'static dyn Elbo {
    match time {
        Time::Discrete => &Chain,
        Time::Continuous => &Limit,
    }
}

/// The chain of T steps.
struct Chain;

impl Elbo for Chain {
    fn evaluate(&self, objective: &Objective<'_>, x: &Tensor, draws: TimeDraws, unit: f64) -> Result<StepResult> {
        let terms = objective.elbo(x, &draws.in_steps(objective.gamma.steps()))?;
        Ok(StepResult {
            terms: terms.values()?,
            gradients: terms.total()?.affine(unit, 0.0)?.backward()?,
            relative: Vec::new(),
        })
    }
}

/// Infinitely many steps.
struct Limit;

impl Elbo for Limit {
    fn evaluate(&self, objective: &Objective<'_>, x: &Tensor, draws: TimeDraws, unit: f64) -> Result<StepResult> {
        let elbo = objective.limit_elbo(x, &draws, unit)?;
        Ok(StepResult {
            terms: elbo.terms,
            gradients: elbo.gradients,
            relative: objective.gamma.curve_parameters().into_iter().cloned().collect(),
        })
    }
}
