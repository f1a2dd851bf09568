//! The training loop.

use super::exchange::Exchange;
#[cfg(feature = "cuda")]
use super::gpu_stepper::GpuStepper;
use super::host_stepper::HostStepper;
use super::log::LossRow;
use super::remarks::Remarks;
use super::run::Run;
use super::run_folder::RunFolder;
use super::same::check_same_run;
use super::session::{Outcome, Session};
use super::stepper::Stepper;
use super::validate::{interval, validate};
use super::validations::Validation;
use crate::data::{Dataset, Split};
use crate::fused::device::Products;
use crate::parallel::{Group, agree, leader_reports};
use crate::progress::Progress;
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};

/// Trains `run` until its configured number of steps, and writes checkpoints and the loss log.
///
/// If there are validation rows, the best averaged parameters by their ELBO become the final weights, and training may
/// end early once they find no better ones.
///
/// The same configuration gives the same bits, also across an interruption at any step. All ranks of the session's
/// group call this with the same run and data.
///
/// # Errors
/// Fails on all ranks if one of them fails. The checkpoint in the folder stays whole.
pub fn train(run: &mut Run, split: &Split, session: &Session<'_>) -> Result<Outcome> {
    check_device(run)?;
    run.refitted = false;
    run.network.set_gains(None);
    let group = session.group;
    let exchange = leader_reports(group, Exchange::new(group, run.config.train.batch))?;
    let folder = RunFolder::open(session, run);
    // Before the first step, so that a folder that cannot be written is found now and not in an hour.
    agree(group, folder.save(run))?;
    let stop_requested = any_stop_requested(session);
    let progress = Progress::resumed(run.optimizer.step, run.config.train.steps, "training");
    let mut training = Training {
        split,
        session,
        stepper: select_stepper(group, exchange, run, &split.train)?,
        folder,
        progress: progress.quiet_if(session.quiet || !group.leads()),
        message: String::new(),
        validation: None,
        remarks: Remarks::default(),
        last_save: Instant::now(),
        saved: Ok(()),
    };
    let outcome = training.make_steps(run, stop_requested)?;
    training.finish(run, outcome)?;
    Ok(outcome)
}

fn check_device(run: &Run) -> Result<()> {
    let config = &run.config.train;
    ensure!(
        !run.device().is_cpu() || (config.products == Products::F32 && !config.graph),
        "train.products and train.graph are for a GPU, and this run is on the CPU, which multiplies in f32: leave them \
         out, or train with --cuda"
    );
    Ok(())
}

/// Returns true if any rank was asked to stop before the first step.
fn any_stop_requested(session: &Session<'_>) -> bool {
    session
        .group
        .gather(u64::from(session.stop_requested()))
        .iter()
        .any(|requested| *requested != 0)
}

#[cfg_attr(not(feature = "cuda"), expect(unused_variables, reason = "only a GPU keeps data"))]
fn select_stepper<'g>(
    group: &'g dyn Group,
    exchange: Exchange<'g>,
    run: &Run,
    data: &Dataset,
) -> Result<Box<dyn Stepper + 'g>> {
    #[cfg(feature = "cuda")]
    if group.size() == 1 && GpuStepper::supports(run) {
        return Ok(Box::new(GpuStepper::new(run, data)?));
    }
    Ok(Box::new(HostStepper::new(group, exchange)))
}

/// State of the loop between steps.
struct Training<'a> {
    split: &'a Split,
    session: &'a Session<'a>,
    stepper: Box<dyn Stepper + 'a>,
    folder: RunFolder,
    progress: Progress,
    message: String,
    /// Latest measurement on validation rows.
    validation: Option<f64>,
    remarks: Remarks,
    last_save: Instant,
    /// Result of the last checkpoint. The next step reports an error in it to the other ranks.
    saved: Result<()>,
}

impl Training<'_> {
    fn make_steps(&mut self, run: &mut Run, mut stop_requested: bool) -> Result<Outcome> {
        while !run.has_ended() {
            if stop_requested || self.session.reaches_stop(run.optimizer.step) {
                return Ok(Outcome::Interrupted);
            }
            let local = std::mem::replace(&mut self.saved, Ok(()));
            stop_requested = self
                .stepper
                .advance(run, &self.split.train, local, self.session.stop_requested())?;
            self.after_step(run)?;
        }
        Ok(Outcome::Finished)
    }

    /// Measures the ELBO on validation rows, and writes a row of the log and a checkpoint, if they are due.
    fn after_step(&mut self, run: &mut Run) -> Result<()> {
        let (step, config) = (run.optimizer.step, &run.config.train);
        let seconds = config.checkpoint_seconds;
        let is_last = step == config.steps;
        let validation_is_due = !self.split.validation.is_empty() && (is_last || step.is_multiple_of(interval(config)));
        if is_last || validation_is_due || step.is_multiple_of(config.log_every) {
            self.write_row(run, validation_is_due)?;
        }
        self.progress.set(step, &self.message);
        if self.last_save.elapsed() >= Duration::from_secs(seconds) {
            self.saved = self.stepper.synchronize(run).and_then(|()| self.folder.save(run));
            self.last_save = Instant::now();
        }
        Ok(())
    }

    /// Writes a row of the log, with the ELBO on validation rows if that is due.
    fn write_row(&mut self, run: &mut Run, validation_is_due: bool) -> Result<()> {
        self.stepper.synchronize(run)?;
        let step = run.optimizer.step;
        let mut row = run.pending.take_row(step);
        self.stepper.start_row()?;
        if validation_is_due {
            let bits_per_dim = validate(run, &self.split.validation, self.session.group)?;
            run.validations
                .add(Validation { step, bits_per_dim }, &run.optimizer.slots)?;
            row.validation = Some(bits_per_dim);
        }
        row.add_reconstruction(run.kind.bits_of_scale());
        self.show(run, &row);
        self.folder.log.push(row);
        check_same_run(self.session.group, run)
    }

    /// Shows a row of the log with the latest measurement, and warnings that it gives reason for.
    fn show(&mut self, run: &Run, row: &LossRow) {
        self.validation = row.validation.or(self.validation);
        let validation = self.validation.map(|bits| format!(", validation {bits:.3}"));
        self.message = row.message() + &validation.unwrap_or_default();
        if self.session.quiet || !self.session.group.leads() {
            return;
        }
        for warning in self.remarks.check(run, row) {
            self.progress.suspend(|| eprintln!("warning: {warning}"));
        }
    }

    /// Writes the last checkpoint, and the weights if training has finished.
    fn finish(mut self, run: &mut Run, outcome: Outcome) -> Result<()> {
        let group = self.session.group;
        let saved = self.saved.and_then(|()| self.stepper.synchronize(run));
        agree(group, saved.and_then(|()| self.folder.save(run)))?;
        if outcome == Outcome::Finished {
            agree(group, self.folder.save_weights(run))?;
        }
        self.progress.finish();
        Ok(())
    }
}
