//! `host-train`: train, evaluate, export, sample, report.

mod cli;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(code) => code,
        Err(error) => cli::failure::report(&error),
    }
}
