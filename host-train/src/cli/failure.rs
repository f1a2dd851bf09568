//! The end of a command that has failed.

use anyhow::{Error, Result};
use host_train::parallel::{Group, ReportedByOtherRank};
use host_train::train::advice::OUT_OF_MEMORY_ADVICE;
use host_train::train::device;
use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

/// Prints an error as one sentence, the purpose before the reason, and returns the exit status.
pub fn report(error: &Error) -> ExitCode {
    if is_broken_pipe(error) {
        // The reader has seen enough (`| head`): this is no failure.
        return ExitCode::SUCCESS;
    }
    if !error.is::<ReportedByOtherRank>() {
        // In one piece, so that no other process prints in between. Nothing can be done if standard error is gone.
        let sentence = format!("error: {error:#}\n");
        let _ = std::io::stderr().lock().write_all(sentence.as_bytes());
    }
    ExitCode::FAILURE
}

/// Ends a command that several processes work on: an error is printed before any of them leaves.
///
/// `mpirun` kills the other processes as soon as one has left with an error. So the process that knows the reason
/// prints it, and only then do all meet and leave.
pub fn conclude(group: &dyn Group, result: Result<ExitCode>) -> Result<ExitCode> {
    let result = result.or_else(|error| {
        if group.size() == 1 {
            return Err(error);
        }
        let error = device::explain_memory_error(error, OUT_OF_MEMORY_ADVICE);
        Ok(report(&error))
    });
    group.wait();
    result
}

fn is_broken_pipe(error: &Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == ErrorKind::BrokenPipe)
}
