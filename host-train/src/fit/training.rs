//! Training of an open run in its folder.

use super::open::{OpenRun, Start};
use crate::data::ReadReport;
use crate::parallel::{Group, agree};
use crate::train::advice::explain_memory;
use crate::train::checkpoint::{CHECKPOINT, WEIGHTS, put_aside};
use crate::train::same::check_same_start;
use crate::train::{LOSSES, Outcome, Session, train};
use anyhow::Result;
use std::sync::atomic::AtomicBool;

/// Trains the run, after it has put aside what an earlier run left in the folder.
///
/// * `stop`: set from outside to end early with a checkpoint;
/// * `stop_at`: end early once this many steps are done;
/// * `quiet`: show no progress.
pub fn train_run(
    group: &dyn Group,
    open: &mut OpenRun,
    start: &Start,
    stop: &AtomicBool,
    stop_at: Option<u64>,
    quiet: bool,
) -> Result<Outcome> {
    let OpenRun { run, split, folder } = open;
    if group.leads() {
        report_reading(&split.reading, quiet);
    }
    check_same_start(group, run, split)?;
    // Files of an earlier run are worth keeping, and must not pass for this one's.
    let stale: &[&str] = match start {
        Start::New | Start::From(_) => &[CHECKPOINT, WEIGHTS, LOSSES],
        Start::Resume if !run.has_ended() => &[WEIGHTS],
        Start::Resume => &[],
    };
    let old = match group.leads() {
        true => put_aside(folder, stale),
        false => Ok(None),
    };
    if let Some(old) = agree(group, old)? {
        eprintln!("the files of an earlier run are now in {}", old.display());
    }
    let session = Session {
        group,
        folder,
        stop,
        stop_at,
        quiet,
    };
    train(run, split, &session).map_err(|error| explain_memory(error, run, folder))
}

/// Prints what was read on standard error, and what may have been misread.
///
/// * `quiet`: print the warnings alone.
pub fn report_reading(reading: &ReadReport, quiet: bool) {
    if !quiet {
        eprintln!("{}", reading.line);
    }
    for warning in &reading.warnings {
        eprintln!("warning: {warning}");
    }
}
