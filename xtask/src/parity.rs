//! Parity: the same bits on every core, by one firmware on every machine and the desktop's golden lines.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use firmware_build::machine::{MACHINES, Machine};

use crate::compare;
use crate::firmware::{self, Echo};
use crate::paths;
use crate::process;
use crate::progress;
use crate::setup;

/// Arguments of `cargo xtask parity`.
#[derive(clap::Args)]
pub struct Args {
    /// Only this machine
    #[arg(long)]
    machine: Option<String>,
}

/// A core takes seconds; a firmware that hangs must not hang the run.
const TIMEOUT: Duration = Duration::from_secs(120);

/// The folder and package of the firmware.
const FIRMWARE: &str = "parity";

/// `cargo xtask parity`.
pub fn command(args: &Args) -> Result<()> {
    match &args.machine {
        Some(name) => check(Machine::find(name).map_err(|sentence| anyhow!(sentence))?, FAST),
        None => MACHINES.iter().try_for_each(|machine| check(machine, FAST)),
    }
}

/// Format and lock file of the firmware, each handed to `check` with its title.
pub fn check_sources(check: &mut impl FnMut(&str, &dyn Fn() -> Result<()>) -> Result<()>) -> Result<()> {
    let folder = paths::firmware(FIRMWARE);
    let cargo = |arguments: [&str; 2]| process::run(process::cargo().current_dir(&folder).args(arguments));
    check("parity: lock file is up to date", &|| cargo(["fetch", "--locked"]))?;
    check("parity: format", &|| cargo(["fmt", "--check"]))
}

/// The level of optimization of the firmware's own profile.
pub const FAST: &str = "3";
/// The one for small code, with which the kernels are built in another way.
pub const SMALL: &str = "z";

/// Builds and runs the firmware on one machine, at one level of optimization, and compares every line.
pub fn check(machine: &'static Machine, level: &str) -> Result<()> {
    let toolchain = setup::ensure(machine)?;
    let folder = paths::firmware(FIRMWARE);
    let mut cargo = toolchain.cargo("build");
    cargo
        .current_dir(folder)
        .args(["--release", "--quiet"])
        .args(["--features", &machine.features.join(",")])
        .env("ANCESTRAL_MACHINE", machine.name)
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", level);
    let title = format!("building the firmware {FIRMWARE} for {}", machine.core);
    progress::during(&title, || process::run(&mut cargo))
        .with_context(|| format!("cannot build the firmware {FIRMWARE} for {}", machine.core))?;
    let output = firmware::run(machine, &firmware::elf(machine.target, FIRMWARE), TIMEOUT, Echo::No)?;
    let (kernel, output) = output.split_once('\n').unwrap_or((&output, ""));
    check_kernel(machine, kernel)?;
    let golden = paths::root().join("tests/golden/parity.txt");
    let golden = fs::read_to_string(&golden).with_context(|| format!("cannot read {}", paths::shown(&golden)))?;
    compare::same_text(&golden, output).with_context(|| {
        format!(
            "{} ({}) does not compute what the desktop does",
            machine.core, machine.name
        )
    })?;
    println!(
        "{} ({}): {} lines, all five formats, equal to the desktop's; {kernel}",
        machine.core,
        machine.name,
        output.lines().count()
    );
    Ok(())
}

/// Fails unless the firmware's first line says that the core's own kernel ran: a path that no build takes is not tested
/// by the rest.
fn check_kernel(machine: &Machine, line: &str) -> Result<()> {
    let named = line.starts_with(&format!("kernel {}: ", machine.kernel));
    if !named || !line.ends_with(" by it") || line.ends_with(", 0 by it") {
        bail!(
            "{} ({}) should have run the kernel `{}`, but says: {line}",
            machine.core,
            machine.name,
            machine.kernel
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_kernel_or_one_that_did_nothing_is_noticed() {
        let machine = Machine::find("mps2-an386").unwrap();
        assert!(check_kernel(machine, "kernel dsp: 9 layers equal, 3 by it").is_ok());
        for line in [
            "kernel portable: 9 layers equal, 9 by it",
            "kernel dsp: 9 layers equal, 0 by it",
            "",
        ] {
            let message = check_kernel(machine, line).unwrap_err().to_string();
            assert!(message.contains("kernel `dsp`"), "{message}");
        }
    }
}
