//! Warnings that rows of the loss log give reason for, each once.

use super::advice::raise_last_gamma;
use super::log::LossRow;
use super::run::Run;
use crate::data::ValueKind;
use crate::runtime::evaluate::PRIOR_LIMIT_NATS;

/// Reconstruction in bits per dimension that is shown as 0.0000.
const NOTHING: f64 = 5e-5;

/// Warnings that were given.
#[derive(Default)]
pub(super) struct Remarks {
    reconstruction: bool,
    prior: bool,
}

impl Remarks {
    /// Returns the warnings that a row of a run gives reason for and that were not given before.
    pub(super) fn check(&mut self, run: &Run, row: &LossRow) -> Vec<String> {
        let [reconstruction, prior, _] = row.terms;
        let mut found = Vec::new();
        let levels = matches!(run.kind, ValueKind::Levels { .. });
        if levels && reconstruction.abs() < NOTHING && !self.reconstruction {
            self.reconstruction = true;
            found.push(format!(
                "step {}: the reconstruction term is 0.0000 bits/dim, so gamma begins lower than the levels need and \
                 wastes steps there: leave model.gamma_first out, or raise it",
                row.step
            ));
        }
        let nats = prior * std::f64::consts::LN_2;
        if nats > PRIOR_LIMIT_NATS && !self.prior {
            self.prior = true;
            let last = run.gamma.wide().ok().and_then(|gamma| gamma.last().copied());
            let remedy = raise_last_gamma(run.gamma.learns(), last.unwrap_or(f64::NAN));
            found.push(format!(
                "step {}: the prior term is {nats:.4} nats/dim, above {PRIOR_LIMIT_NATS}, so samples do not begin where \
                 the chain ends: {remedy}",
                row.step
            ));
        }
        found
    }
}
