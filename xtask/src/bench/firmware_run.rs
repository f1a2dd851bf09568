//! Programs of the firmware `bench`: built, run, and their counts read.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use firmware_build::machine::Machine;

use crate::firmware::{self, Echo};
use crate::paths;
use crate::process;
use crate::progress;
use crate::setup;

const FIRMWARE: &str = "bench";
const TIMEOUT: Duration = Duration::from_secs(300);

/// Instructions of the loop that the firmware measures its timer by.
const SCALE: u64 = 40_000;

/// Builds one program of the firmware.
pub fn build(
    machine: &'static Machine,
    program: &str,
    settings: &[(&str, String)],
    opt_level: &str,
) -> Result<PathBuf> {
    let toolchain = setup::ensure(machine)?;
    let mut cargo = toolchain.cargo("build");
    cargo
        .current_dir(paths::firmware(FIRMWARE))
        .args(["--release", "--quiet", "--bin", program])
        .args(["--features", &machine.features.join(",")])
        .env("ANCESTRAL_MACHINE", machine.name)
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", opt_level)
        .envs(settings.iter().map(|(name, value)| (name, value)));
    let title = format!("building {program} for {}", machine.core);
    progress::during(&title, || process::run(&mut cargo))
        .with_context(|| format!("cannot build {program} for {}", machine.core))?;
    Ok(firmware::elf(machine.target, program))
}

/// Runs a program that prints its counts; every number but the scale comes back in instructions.
pub fn run(machine: &Machine, elf: &Path) -> Result<Vec<(Vec<String>, u64)>> {
    run_at(machine, elf, "shift=8")
}

/// [`run`] with another time for an instruction on Arm: the timer comes round after two million instructions with
/// `shift=8`, and counts to the instruction; with one less, after twice as many, and may be wrong by one.
pub fn run_at(machine: &Machine, elf: &Path, shift: &str) -> Result<Vec<(Vec<String>, u64)>> {
    let icount = if machine.qemu.contains("riscv") {
        "shift=0"
    } else {
        shift
    };
    let output = firmware::run_with(machine, elf, TIMEOUT, Echo::No, &["-icount", icount])?;
    let mut lines = Vec::new();
    let (mut per, mut unit) = (1u64, 1u64);
    for line in output.lines() {
        let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let Some(last) = words.pop() else { continue };
        match (words.first().map(String::as_str), last.parse::<u64>()) {
            (Some("kernel"), _) => {
                if last != machine.kernel {
                    bail!("{} ran the kernel {last}, not {}", machine.core, machine.kernel);
                }
                lines.push((vec!["kernel".to_owned(), last], 0));
            }
            (Some("scale"), Ok(ticks)) => (per, unit) = (ticks, SCALE),
            (Some("steps" | "buffers" | "sampler" | "stack" | "nothing"), Ok(count)) => lines.push((words, count)),
            (Some(_), Ok(ticks)) => lines.push((words, (ticks * unit + per / 2) / per)),
            _ => bail!("{} printed `{line}`", machine.core),
        }
    }
    Ok(lines)
}

/// Returns the number that a firmware has printed under a name.
pub fn find_count(lines: &[(Vec<String>, u64)], name: &str) -> Result<u64> {
    let line = lines
        .iter()
        .find(|(words, _)| words.first().is_some_and(|word| word == name));
    line.map(|(_, count)| *count)
        .with_context(|| format!("the firmware prints no {name}"))
}
