//! A run that begins with the network of another.

use super::paths::Path as GammaPath;
use super::step_search::{SearchSettings, StepSearch};
use super::table::ChosenSteps;
use crate::data::Split;
use crate::progress::Progress;
use crate::train::checkpoint::Run;
use crate::train::config::{Config, Time};
use anyhow::{Context, Result, ensure};
use candle_core::Device;
use std::path::Path;

/// Begins a run with the network of `base`, and with the table of steps that is cheapest for it.
///
/// # Errors
///
/// If `base` was trained on other data, or its network has other widths than `config` asks for.
pub fn continue_from(config: Config, base: &Path, split: &Split, device: &Device, progress: &Progress) -> Result<Run> {
    let mut run = Run::averaged(base, device)?;
    // Training has no gains, so the steps to begin with are those that suit the network without.
    run.network.set_gains(None);
    ensure!(
        run.dim == split.train.dim && run.kind == split.train.kind,
        "{} was not trained on the data of the configuration: name a run of the same data with --from",
        base.display()
    );
    let search = StepSearch::new(&run, split, &SearchSettings::default(), progress)?;
    // In the limit there is no best path; the learned one is as good a beginning as any.
    let path = match config.model.time {
        Time::Discrete => GammaPath::Best,
        Time::Continuous => GammaPath::Learned,
    };
    let variance = config.model.variance_of(&run.kind);
    let table = search.table(path, variance, config.model.steps)?;
    start_at(config, &run, &table).with_context(|| format!("cannot go on from {}", base.display()))
}

/// Begins a run with the network of `base` and the steps and variances of a table.
///
/// * `base`: with its averaged parameters in place;
/// * `table`: of the variance that the configuration asks for.
pub fn start_at(config: Config, base: &Run, table: &ChosenSteps) -> Result<Run> {
    let mut run = Run::continued(config, base, &table.gamma, table.variance().as_ref())?;
    if let (Some(variance), Some(ratios)) = (&run.variance, table.decoder_ratios()) {
        variance.set_decoder(&ratios)?;
        run.adopt()?;
    }
    Ok(run)
}
