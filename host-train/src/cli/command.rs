//! The commands.

use super::{
    bench, compare, distance, distill, evaluate, export, fit, loss_variance, quantize, report, rows, sample, steps,
    sweep, train,
};
use anyhow::Result;
use clap::{Parser, Subcommand};
use host_train::train::advice::OUT_OF_MEMORY_ADVICE;
use host_train::train::device;
use std::process::ExitCode;

/// Help about progress.
const PROGRESS: &str = "\
Progress: a bar on standard error if that is a terminal, otherwise a line every 5 seconds. \
HOST_TRAIN_PROGRESS_SECONDS sets another number of seconds.";

/// Trains variational diffusion models and exports them for microcontrollers.
#[derive(Parser)]
#[command(version, about = "Trains variational diffusion models and exports them for microcontrollers", after_help = PROGRESS)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Show no progress on standard error
    #[arg(long, short, global = true)]
    quiet: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Train a model, export it, score it, draw samples and write a report, all in one
    Fit(fit::Args),
    /// Train a model from a configuration, or resume a run
    Train(train::Args),
    /// Score held-out rows with a model file by its exact ELBO
    Evaluate(evaluate::Args),
    /// Export a checkpoint as a model file
    Export(export::Args),
    /// Export a checkpoint as a model file in an integer format: calibrate, and fine-tune on request
    Quantize(quantize::Args),
    /// Choose the steps and the reverse variance by the ELBO, and export a model with the step table of
    /// lowest ELBO cost
    #[command(alias = "schedule")]
    ChooseSteps(steps::Args),
    /// Measure the variance of the training loss along linear, cosine and learned schedules
    #[command(alias = "variance")]
    LossVariance(loss_variance::Args),
    /// Train students that draw samples in far fewer steps; they have no ELBO
    Distill(distill::Args),
    /// Draw samples from a model file
    Sample(sample::Args),
    /// Compare model files of one data set: ELBO, size, work, sample quality
    Compare(compare::Args),
    /// Measure the energy distance from files of samples to the data
    Distance(distance::Args),
    /// Write the rows of one part of the data, as the model learns or is scored on them
    Rows(rows::Args),
    /// Write an HTML report of a run, and a picture if the data is square
    Report(report::Args),
    /// Train many configurations, from a grid or from random draws
    Sweep(sweep::Args),
    /// Measure the speed of training beside PyTorch
    Bench(bench::Args),
}

impl Cli {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode> {
        let quiet = self.quiet;
        let result = match self.command {
            Command::Fit(args) => args.run(quiet),
            Command::Train(args) => args.run(quiet),
            Command::Evaluate(args) => args.run(quiet),
            Command::Export(args) => args.run(quiet),
            Command::Quantize(args) => args.run(quiet),
            Command::ChooseSteps(args) => args.run(quiet),
            Command::LossVariance(args) => args.run(quiet),
            Command::Distill(args) => args.run(quiet),
            Command::Sample(args) => args.run(quiet),
            Command::Compare(args) => args.run(quiet),
            Command::Distance(args) => args.run(quiet),
            Command::Rows(args) => args.run(),
            Command::Report(args) => args.run(quiet),
            Command::Sweep(args) => args.run(quiet),
            Command::Bench(args) => args.run(quiet),
        };
        result.map_err(|error| device::explain_memory_error(error, OUT_OF_MEMORY_ADVICE))
    }
}
