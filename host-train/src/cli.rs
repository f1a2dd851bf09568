//! The command line.

mod bench;
mod compare;
mod distill;
mod evaluate;
mod export;
pub mod failure;
mod quantize;
mod report;
mod sample;
mod schedule;
mod sweep;
mod train;
mod variance;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use host_train::data::{self, DataSpec, Split};
use host_train::parallel::{self, Group};
use host_train::train::config::Config;
use host_train::train::device;
use std::fmt::Display;
use std::io::Write as _;
use std::path::Path;
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
    /// Make a model file in an integer format from a checkpoint: calibrate, and fine-tune if asked
    Quantize(quantize::Args),
    /// Choose the steps and the reverse variance by the ELBO: what each way costs, and a model file with the cheapest
    Schedule(schedule::Args),
    /// Measure how much the training loss varies along linear, cosine and learned schedules
    Variance(variance::Args),
    /// Teach students to draw samples in far fewer steps; they have no ELBO
    Distill(distill::Args),
    /// Draw samples from a model file
    Sample(sample::Args),
    /// Put model files of one data set side by side: ELBO, size, work, sample quality
    Compare(compare::Args),
    /// Write an HTML report of a run, and a picture where the data is square
    Report(report::Args),
    /// Train many configurations, by a grid or by chance, as processes of their own or several in one
    Sweep(sweep::Args),
    /// Measure the speed of training beside PyTorch
    Bench(bench::Args),
}

impl Cli {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode> {
        self.done()
            .map_err(|error| device::explain_memory_error(error, device::OUT_OF_MEMORY_ADVICE))
    }

    fn done(self) -> Result<ExitCode> {
        match self.command {
            Command::Train(args) => args.run(),
            Command::Evaluate(args) => args.run(),
            Command::Export(args) => args.run(),
            Command::Quantize(args) => args.run(),
            Command::Schedule(args) => args.run(),
            Command::Variance(args) => args.run(),
            Command::Distill(args) => args.run(),
            Command::Sample(args) => args.run(),
            Command::Compare(args) => args.run(),
            Command::Report(args) => args.run(),
            Command::Sweep(args) => args.run(),
            Command::Bench(args) => args.run(),
        }
    }
}

/// The processes that work on this command together.
fn group(mpi: bool) -> Result<Box<dyn Group>> {
    let group = parallel::join_group(mpi)?;
    if mpi && group.size() == 1 {
        eprintln!("--mpi finds one process: start several with `mpirun -n 4 host-train …` or srun (docs/mpi.md)");
    }
    Ok(group)
}

/// Prints a line on standard output. Unlike `println!` it does not panic when nobody reads it.
fn print(line: impl Display) -> Result<()> {
    Ok(writeln!(std::io::stdout().lock(), "{line}")?)
}

/// Prints one JSON object, the only thing on standard output.
fn print_json(value: &impl serde::Serialize) -> Result<()> {
    print(serde_json::to_string(value)?)
}

/// Loads what `own` names, relative to the current folder, or the `[data]` of a configuration in its stead.
fn load_data(own: impl FnOnce() -> Result<DataSpec>, config: Option<&Path>) -> Result<Split> {
    match config {
        Some(path) => Ok(data::load(
            &Config::read(path)?.data,
            path.parent().unwrap_or(Path::new("")),
        )?),
        None => data::load(&own()?, Path::new("")).context(
            "the data that the model was made from cannot be loaded here (name a configuration with --config)",
        ),
    }
}
