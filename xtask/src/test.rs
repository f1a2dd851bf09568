//! Every check, in order, from quick to slow. The first that fails ends the run.

mod boards;
mod checks;
mod desktop;
mod features;
pub mod nvcc;
mod package;
mod shipped;

use std::fs;

use anyhow::{Context, Result, anyhow, bail};
use firmware_build::machine::{MACHINES, Machine};

use crate::bench;
use crate::boards::BOARDS;
use crate::firmware::Content;
use crate::host_train::HostTrain;
use crate::parity;
use crate::paths;
use crate::process;
use crate::setup::{self, Needs};

use checks::{Checks, Outcome};

/// Arguments of `cargo xtask test`.
#[derive(clap::Args)]
pub struct Args {
    /// Renew the golden vectors and the firmware's golden output instead of comparing with them
    #[arg(long)]
    bless: bool,
    /// Leave out the checks of the desktop's crates
    #[arg(long)]
    only_firmware: bool,
}

/// `cargo xtask test`.
pub fn command(args: &Args) -> Result<()> {
    let mut checks = Checks::start()?;
    checks.check("set-up", || {
        let needs = Needs::of_everything();
        let needs = if args.only_firmware { needs } else { needs.and_checks() };
        setup::provide(&needs)?;
        setup::report()?;
        Ok(Outcome::Passed)
    })?;
    if args.bless {
        bless(&mut checks)?;
    }
    if args.only_firmware {
        let reason = "left out by --only-firmware".to_owned();
        checks.check("the desktop's crates", || Ok(Outcome::Skipped(reason)))?;
    } else {
        desktop::all(&mut checks)?;
    }
    features::on_bare_metal(&mut checks)?;
    for board in BOARDS {
        boards::all(&mut checks, board, args.bless)?;
    }
    every_core(&mut checks)?;
    println!("\n{}", checks.summary(0));
    Ok(())
}

/// The number formats on every emulated core, and the contents of a sampler's firmware.
fn every_core(checks: &mut Checks) -> Result<()> {
    parity::check_sources(&mut |title, action| checks.check(title, || action().map(|()| Outcome::Passed)))?;
    for machine in MACHINES {
        let title = format!("{} ({}): every format, the desktop's bits", machine.core, machine.name);
        checks.check(&title, || {
            parity::check(machine, parity::FAST).map(|()| Outcome::Passed)
        })?;
    }
    let machine = Machine::find("mps2-an386").map_err(|sentence| anyhow!(sentence))?;
    let title = format!("{}, built for size: every format, the desktop's bits", machine.core);
    checks.check(&title, || {
        parity::check(machine, parity::SMALL).map(|()| Outcome::Passed)
    })?;
    checks.check(
        "a sampler's firmware cannot panic, allocate or compute with floats",
        || {
            for format in bench::integer_formats() {
                let found = bench::forbidden(machine, format)?;
                if !found.is_empty() {
                    bail!("with a model in {format} it contains {found:?}");
                }
            }
            Ok(Outcome::Passed)
        },
    )
}

/// Renews what later checks compare with.
fn bless(checks: &mut Checks) -> Result<()> {
    checks.check("golden vectors of the desktop", renew_vectors)?;
    checks.check("small models and lines that every core computes", || {
        for test in ["parity_models", "parity"] {
            process::run(
                process::cargo()
                    .args(["test", "--quiet", "--test", test])
                    .env("BLESS", "1"),
            )?;
        }
        Ok(Outcome::Passed)
    })
}

/// Renews the lines that `tests/golden.rs` compares with.
fn renew_vectors() -> Result<Outcome> {
    let models = shipped::names();
    let vectors = |model: &String| paths::root().join(format!("tests/golden/{model}.hex"));
    for path in models.iter().map(vectors) {
        if !path.exists() {
            // A new model: the tests, which are built first, include its file.
            fs::write(&path, "").with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    let host_train = HostTrain::checked()?;
    let content = Content::golden();
    for name in &models {
        let path = vectors(name);
        let lines = host_train.hex(&shipped::path(name), content.count, content.seed)?;
        fs::write(&path, lines).with_context(|| format!("cannot write {}", path.display()))?;
        println!("renewed {}", paths::shown(&path));
    }
    Ok(Outcome::Passed)
}
