//! `host-train`: train, evaluate, export, sample, report.

mod cli;

use clap::Parser;
use host_train::parallel::Elsewhere;
use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(code) => code,
        // Whoever read the output has seen enough (`| head`): not a failure.
        Err(error) if broken_pipe(&error) => ExitCode::SUCCESS,
        // Another process says it.
        Err(error) if error.is::<Elsewhere>() => ExitCode::FAILURE,
        Err(error) => {
            // One sentence: what was being done, then why it failed.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}
