//! `host-train`: train, evaluate, export, sample, report.

mod cli;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            // One sentence: what was being done, then why it failed.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
