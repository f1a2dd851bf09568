//! Instructions of layers, steps and samples on every core, counted in QEMU, beside those of CMSIS-NN; sizes;
//! `docs/performance.md`.

mod cycles;
mod layers;
mod samples;
mod sizes;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use ancestral::FormatId;
use anyhow::{Context, Result, anyhow, bail};
use firmware_build::machine::Machine;

use crate::firmware::{self, Echo};
use crate::paths;
use crate::process;
use crate::progress;
use crate::setup;

pub use sizes::forbidden;

/// Arguments of `cargo xtask bench`.
#[derive(clap::Args)]
pub struct Args {
    /// Print rows of core, format, shape, batch, instructions and instructions per product, and write no page
    #[arg(long)]
    json: bool,
    /// Only layers, not whole samples and sizes; writes no page
    #[arg(long)]
    layers: bool,
    /// Only this machine; writes no page
    #[arg(long, value_name = "NAME")]
    machine: Option<String>,
}

const FIRMWARE: &str = "bench";
const TIMEOUT: Duration = Duration::from_secs(300);

/// Armv6-M code on a machine that has the memory for a model of digits; it executes what the smaller core would.
static M0_PLUS: LazyLock<Option<Machine>> = LazyLock::new(|| {
    let host = Machine::find("mps2-an385").ok()?;
    let core = Machine::find("microbit").ok()?;
    Some(Machine {
        core: "Cortex-M0+",
        target: core.target,
        kernel: core.kernel,
        ..*host
    })
});

fn machines() -> Result<Vec<&'static Machine>> {
    let find = |name| Machine::find(name).map_err(|sentence| anyhow!(sentence));
    Ok(vec![
        find("mps2-an386")?,
        find("mps2-an505")?,
        M0_PLUS.as_ref().context("there is no machine for Armv6-M")?,
        find("mps3-an547")?,
        find("virt")?,
    ])
}

/// Names of the integer formats.
pub fn integer_formats() -> impl Iterator<Item = &'static str> {
    FormatId::ALL.iter().filter(|id| id.is_integer()).map(|id| id.name())
}

/// A model that samples are drawn from.
pub struct Model {
    format: &'static str,
    width: u32,
    path: PathBuf,
}

impl Model {
    /// The digits, 256 wide.
    fn digits(format: &'static str) -> Self {
        Self::named("digits", 256, format)
    }

    /// The digits, 64 wide.
    fn small(format: &'static str) -> Self {
        Self::named("digits-small", 64, format)
    }

    fn named(set: &str, width: u32, format: &'static str) -> Self {
        let path = paths::root().join(format!("models/{set}-t64-{format}.vdm"));
        Self { format, width, path }
    }

    /// Returns the environment of the firmware's build.
    fn settings(&self) -> [(&'static str, String); 1] {
        [("ANCESTRAL_MODEL", self.path.display().to_string())]
    }
}

/// `cargo xtask bench`.
pub fn command(args: &Args) -> Result<()> {
    let mut rows = Vec::new();
    let mut drawn = Vec::new();
    for machine in machines()? {
        if args.machine.as_ref().is_some_and(|name| name != machine.name) {
            continue;
        }
        eprintln!("{}: layers", machine.core);
        rows.extend(layers::measure(machine)?);
        if !args.layers && !args.json {
            for model in integer_formats()
                .map(Model::digits)
                .chain(integer_formats().map(Model::small))
            {
                eprintln!("{}: a digit in {}, width {}", machine.core, model.format, model.width);
                drawn.push(samples::measure(machine, model)?);
            }
        }
    }
    if args.json {
        for row in &rows {
            println!("{}", row.json());
        }
        return Ok(());
    }
    let whole = !args.layers && args.machine.is_none();
    let mut page = String::from(HEAD);
    layers::page(&rows, &mut page)?;
    if !drawn.is_empty() {
        samples::page(&drawn, &mut page)?;
    }
    if whole {
        sizes::page(&sizes::measure()?, &mut page)?;
        page.push_str(DESKTOP);
        page.push_str(&desktop()?);
    }
    print!("{page}");
    if whole {
        let path = paths::root().join("docs/performance.md");
        fs::write(&path, page).with_context(|| format!("cannot write {}", paths::shown(&path)))?;
    }
    Ok(())
}

/// Runs the benchmark of the desktop's kernel and returns its tables.
fn desktop() -> Result<String> {
    let mut cargo = process::cargo();
    cargo.args([
        "bench",
        "--quiet",
        "--package",
        "ancestral",
        "--features",
        "std",
        "--bench",
        "desktop",
    ]);
    progress::during("measuring the desktop's kernel", || process::capture(&mut cargo))
}

/// Builds one program of the firmware.
fn build(machine: &'static Machine, program: &str, settings: &[(&str, String)], opt_level: &str) -> Result<PathBuf> {
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
fn run(machine: &Machine, elf: &Path) -> Result<Vec<(Vec<String>, u64)>> {
    run_at(machine, elf, "shift=8")
}

/// [`run`] with another time for an instruction on Arm: the timer comes round after two million instructions with
/// `shift=8`, and counts to the instruction; with one less, after twice as many, and may be wrong by one.
fn run_at(machine: &Machine, elf: &Path, shift: &str) -> Result<Vec<(Vec<String>, u64)>> {
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
fn found(lines: &[(Vec<String>, u64)], name: &str) -> Result<u64> {
    let line = lines
        .iter()
        .find(|(words, _)| words.first().is_some_and(|word| word == name));
    line.map(|(_, count)| *count)
        .with_context(|| format!("the firmware prints no {name}"))
}

/// Instructions of the loop that the firmware measures its timer by.
const SCALE: u64 = 40_000;

const HEAD: &str = "# Performance, measured

Written by `cargo xtask bench`; not edited by hand. All counts but those of the last section are of instructions that
QEMU executed, exact and the same on every run. They are not cycles: a load of four words counts one and takes five
cycles on Cortex-M4, a taken branch counts one and takes up to four.
";

const DESKTOP: &str = "
## Desktop

On this machine, in one run: only the ratios say something.

";
