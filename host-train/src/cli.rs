//! The command line.

mod evaluate;
mod export;
mod report;
mod sample;
mod train;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Trains variational diffusion models and exports them for microcontrollers.
#[derive(Parser)]
#[command(version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train a model from a configuration, or go on with one
    Train(train::Args),
    /// Score held-out rows with a model file by its exact ELBO
    Evaluate(evaluate::Args),
    /// Make a model file from a checkpoint
    Export(export::Args),
    /// Draw samples from a model file
    Sample(sample::Args),
    /// Write an HTML report of a run, and a picture where the data is square
    Report(report::Args),
}

impl Cli {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode> {
        match self.command {
            Command::Train(args) => args.run(),
            Command::Evaluate(args) => args.run(),
            Command::Export(args) => args.run(),
            Command::Sample(args) => args.run(),
            Command::Report(args) => args.run(),
        }
    }
}

/// Prints one JSON object, the only thing on standard output.
fn print_json(value: &impl serde::Serialize) -> Result<()> {
    println!("{}", serde_json::to_string(value)?);
    Ok(())
}
