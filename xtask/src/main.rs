//! Commands of this repository: `cargo xtask <command>`.
//!
//! - [`setup`] finds or installs what bare-metal builds need: the target's `core`, a linker, QEMU.
//! - [`firmware`] builds the firmware of one [board](boards) with a model in it and runs it in QEMU.
//! - [`inspect`] checks the ELF file of a firmware without running it.
//! - [`mod@test`] runs every check there is, in order; continuous integration runs exactly this.
//! - [`demo`] goes the whole way once: train, export, sample, emulate, report.
//! - [`parity`] runs every number format on every emulated core.
//! - [`mod@bench`] counts instructions on every emulated core and writes `docs/performance.md`.
//! - [`quality`] prints a table of the models' likelihood and samples beside simple baselines.
//! - [`models`] makes the models that are in the repository.
//!
//! Everything here is glue: it starts other programs ([`process`]) and compares text
//! ([`compare`]). All computing is done by `ancestral` and `host-train`.

mod bench;
mod boards;
mod compare;
mod demo;
mod elf;
mod firmware;
mod host_train;
mod inspect;
mod models;
mod parity;
mod paths;
mod process;
mod progress;
mod quality;
mod setup;
mod test;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Set-up, tests, demo and firmware of this repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make the bare-metal targets and QEMU available (quick when they already are)
    Setup,
    /// Build the firmware with a model in it, check that it fits its board, and run it in QEMU
    Firmware(firmware::Args),
    /// Run every check: format, lints, documentation, tests, firmware in QEMU
    Test(test::Args),
    /// Train, export, sample on the desktop and on the emulated board, and leave a report
    Demo(demo::Args),
    /// Run every number format on every emulated core and compare with the desktop to the bit
    Parity(parity::Args),
    /// Count instructions of layers and samples on every emulated core and write docs/performance.md
    Bench(bench::Args),
    /// Compare samples and likelihood of models with real digits and mixtures of Gaussians, in one table
    Quality(quality::Args),
    /// Make the models that are in the repository (models/)
    Models(models::Args),
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Setup => setup::everything(),
        Command::Firmware(args) => firmware::command(&args),
        Command::Test(args) => test::command(&args),
        Command::Demo(args) => demo::command(&args),
        Command::Parity(args) => parity::command(&args),
        Command::Bench(args) => bench::command(&args),
        Command::Quality(args) => quality::command(&args),
        Command::Models(args) => models::command(&args),
    }
}

fn main() -> ExitCode {
    if test::nvcc::is_called() {
        return test::nvcc::main();
    }
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
