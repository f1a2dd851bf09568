//! Ctrl-C, and the end of the time that a scheduler grants.

use anyhow::{Context, Result};
use host_train::parallel::Group;
use host_train::sweep::workers::INTERRUPTED;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Time that a rank which reports nothing leaves to those that do.
const AFTER_REPORT: Duration = Duration::from_millis(300);

/// Returns the exit code of a command that was stopped.
pub fn interrupted() -> ExitCode {
    ExitCode::from(INTERRUPTED)
}

/// Returns a flag that Ctrl-C sets. A second Ctrl-C ends the program at once.
///
/// * `command`: the command that resumes the run, for a message if another rank has died.
pub fn stop_flag(group: &dyn Group, command: &str) -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let handler = Arc::clone(&stop);
    let watch = group.watch();
    // One of the first two ranks is left to report it, whichever rank has died.
    let reports = group.rank() < 2;
    let lost = format!(
        "error: a rank does not answer, perhaps because it has died: the last checkpoint is whole, go on from it with: {command}"
    );
    ctrlc::set_handler(move || {
        if handler.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(INTERRUPTED));
        }
        let (watch, lost) = (watch.clone(), lost.clone());
        std::thread::spawn(move || {
            watch.wait_until_stalled();
            if reports {
                eprintln!("{lost}");
            } else {
                // `mpirun` kills all ranks once one has left with an error, so those that report come first.
                std::thread::sleep(AFTER_REPORT);
            }
            std::process::exit(1);
        });
    })
    .context("Ctrl-C cannot be caught")?;
    Ok(stop)
}

/// Reports a run that was stopped before its last step.
///
/// * `done`, `steps`: optimizer steps done, and all of them.
pub fn print_stopped(done: u64, steps: u64, command: &str) -> ExitCode {
    eprintln!("stopped at step {done} of {steps}; go on with: {command}");
    interrupted()
}
