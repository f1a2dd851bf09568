//! Steps that the host makes one after another, each with its loss.

use super::exchange::Exchange;
use super::run::Run;
use super::share_loss::compute_share;
use super::step_result::StepResult;
use super::stepper::Stepper;
use super::update::update;
use crate::data::Dataset;
use crate::parallel::{Group, leader_reports};
use crate::runtime::units::bits_per_nat;
use anyhow::{Result, ensure};

/// Steps of all ranks together.
pub(super) struct HostStepper<'g> {
    group: &'g dyn Group,
    exchange: Exchange<'g>,
}

impl<'g> HostStepper<'g> {
    pub(super) fn new(group: &'g dyn Group, exchange: Exchange<'g>) -> Self {
        Self { group, exchange }
    }
}

impl Stepper for HostStepper<'_> {
    fn advance(&mut self, run: &mut Run, data: &Dataset, local: Result<()>, stop: bool) -> Result<bool> {
        let local = local.and_then(|()| compute_share(run, data, self.exchange.share()));
        let (result, stopped) = self.exchange.sum(&run.optimizer.slots, local, stop)?;
        leader_reports(self.group, apply(run, &result))?;
        run.pending.add(result.terms, bits_per_nat(run.dim));
        Ok(stopped)
    }

    fn synchronize(&mut self, _: &mut Run) -> Result<()> {
        Ok(())
    }

    fn start_row(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Updates the parameters.
fn apply(run: &mut Run, result: &StepResult) -> Result<()> {
    let step = run.optimizer.step;
    ensure!(
        result.terms.iter().all(|v| v.is_finite()),
        "the loss is not finite at step {}: resume from the last checkpoint with a lower train.learning_rate",
        step + 1
    );
    run.optimizer
        .update(&result.gradients, update(&run.config.train, step))?;
    Ok(())
}
