//! Instructions of layers, steps and samples on every core, counted in QEMU, beside those of CMSIS-NN; sizes; `docs/performance.md`.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::boards::{self, Machine};
use crate::elf::Elf;
use crate::firmware::{self, Echo};
use crate::paths;
use crate::process;
use crate::setup;

/// What `cargo xtask bench` takes.
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
const FORMATS: [&str; 3] = ["w8a16", "w8a8", "w4a8"];

/// Armv6-M code on a machine that has the memory for a model of digits; it executes what the smaller core would.
const M0: Machine = boards::arm(
    "mps2-an385",
    "Cortex-M0+",
    "thumbv6m-none-eabi",
    "armv6m",
    &["-cpu", "cortex-m3", "-machine", "mps2-an385"],
);

fn machines() -> Result<Vec<&'static Machine>> {
    let named = |name| Machine::find(name);
    Ok(vec![
        named("mps2-an386")?,
        named("mps2-an505")?,
        &M0,
        named("mps3-an547")?,
        named("virt")?,
    ])
}

/// Instructions per multiply-accumulate of CMSIS-NN 6's `arm_fully_connected_s8` (commit 99f736a, GCC 12.2 -O3; clang for the
/// M55), the whole call, batch 1, at 64×128, 128×128 and 256×256; and of its `arm_fully_connected_s4` at 256×256. Counted in
/// QEMU as everything else here.
fn cmsis(core: &str) -> ([f64; 3], Option<f64>) {
    match core {
        "Cortex-M4F" | "Cortex-M33" => ([2.66, 2.27, 2.07], Some(5.07)),
        "Cortex-M0+" => ([7.57, 6.80, 6.39], Some(8.02)),
        "Cortex-M55" => ([0.344, 0.250, 0.201], None),
        _ => ([5.90, 5.64, 5.47], Some(6.39)),
    }
}

/// One measurement of a layer or of a network.
struct Row {
    core: &'static str,
    kernel: String,
    format: String,
    shape: String,
    batch: u32,
    instructions: u64,
}

impl Row {
    fn products(&self) -> u64 {
        let of_shape = match self.shape.split_once('x') {
            Some((rows, columns)) => rows.parse::<u64>().unwrap_or(0) * columns.parse::<u64>().unwrap_or(0),
            None => TINY,
        };
        of_shape * u64::from(self.batch)
    }

    fn each(&self) -> f64 {
        self.instructions as f64 / self.products() as f64
    }
}

/// Products of the network of MLPerf Tiny's anomaly detection.
const TINY: u64 = 264_192;

/// A sample and what it is made of, in instructions.
struct Sample {
    core: &'static str,
    format: &'static str,
    steps: u64,
    all: u64,
    mlp: u64,
    noise: u64,
    update: u64,
    decode: u64,
}

/// Bytes of a firmware that only draws a sample, without those of an empty one.
struct Size {
    core: &'static str,
    format: &'static str,
    how: &'static str,
    code: u32,
    constants: u32,
    model: u64,
}

/// `cargo xtask bench`.
pub fn command(args: &Args) -> Result<()> {
    let mut rows = Vec::new();
    let mut samples = Vec::new();
    for machine in machines()? {
        if args.machine.as_ref().is_some_and(|name| name != machine.name) {
            continue;
        }
        rows.extend(layers(machine)?);
        if !args.layers && !args.json {
            for format in FORMATS {
                samples.push(sample(machine, format)?);
            }
        }
    }
    if args.json {
        for row in &rows {
            println!(
                "{}",
                json!({
                    "core": row.core,
                    "format": row.format,
                    "shape": row.shape,
                    "batch": row.batch,
                    "instructions": row.instructions,
                    "per_mac": row.each(),
                })
            );
        }
        return Ok(());
    }
    let whole = !args.layers && args.machine.is_none();
    let sizes = if whole { sizes()? } else { Vec::new() };
    let page = page(&rows, &samples, &sizes)?;
    print!("{page}");
    if whole {
        let path = paths::root().join("docs/performance.md");
        fs::write(&path, page).with_context(|| format!("cannot write {}", paths::shown(&path)))?;
    }
    Ok(())
}

/// Builds one program of the firmware.
fn build(machine: &Machine, program: &str, settings: &[(&str, &str)], opt_level: &str) -> Result<PathBuf> {
    let toolchain = setup::ensure(machine)?;
    let mut cargo = toolchain.cargo("build");
    cargo
        .current_dir(paths::root().join("firmware-examples").join(FIRMWARE))
        .args(["--release", "--quiet", "--bin", program])
        .args(machine.features)
        .env("ANCESTRAL_MACHINE", machine.name)
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", opt_level)
        .envs(settings.iter().copied());
    process::run(&mut cargo).with_context(|| format!("cannot build {program} for {}", machine.core))?;
    Ok(firmware::elf(machine, program))
}

/// Runs a program that prints what it counts; every number but the scale comes back in instructions.
fn run(machine: &Machine, elf: &std::path::Path) -> Result<Vec<(Vec<String>, u64)>> {
    let icount = if machine.qemu.contains("riscv") {
        "shift=0"
    } else {
        "shift=8"
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
            (Some("steps"), Ok(steps)) => lines.push((words, steps)),
            (Some(_), Ok(ticks)) => lines.push((words, (ticks * unit + per / 2) / per)),
            _ => bail!("{} printed `{line}`", machine.core),
        }
    }
    Ok(lines)
}

/// Instructions of the loop that the firmware measures its timer by.
const SCALE: u64 = 40_000;

fn layers(machine: &'static Machine) -> Result<Vec<Row>> {
    let elf = build(machine, "layers", &[], "3")?;
    let mut rows = Vec::new();
    for (words, instructions) in run(machine, &elf)? {
        let [format, shape, batch] = words.as_slice() else {
            continue;
        };
        rows.push(Row {
            core: machine.core,
            kernel: machine.kernel.to_owned(),
            format: format.clone(),
            shape: shape.clone(),
            batch: batch.parse().context("a batch is a number")?,
            instructions,
        });
    }
    Ok(rows)
}

fn model(format: &str) -> PathBuf {
    paths::root().join(format!("models/digits-t64-{format}.vdm"))
}

fn settings<'a>(format: &'a str, model: &'a str) -> [(&'a str, &'a str); 2] {
    [("ANCESTRAL_FORMAT", format), ("ANCESTRAL_MODEL", model)]
}

fn sample(machine: &'static Machine, format: &'static str) -> Result<Sample> {
    let model = model(format).display().to_string();
    let elf = build(machine, "digit", &settings(format, &model), "3")?;
    let lines = run(machine, &elf)?;
    let of = |name: &str| {
        let found = lines
            .iter()
            .find(|(words, _)| words.first().is_some_and(|word| word == name));
        found
            .map(|(_, count)| *count)
            .with_context(|| format!("the firmware prints no {name}"))
    };
    let (steps, chain, mlp, noise, decode) = (of("steps")?, of("chain")?, of("mlp")?, of("noise")?, of("decode")?);
    Ok(Sample {
        core: machine.core,
        format,
        steps,
        all: of("start")? + chain + decode,
        mlp,
        noise,
        update: (chain / steps.max(1)).saturating_sub(mlp + noise),
        decode,
    })
}

/// What a firmware must not contain: none of these can be reached by drawing a sample.
const FORBIDDEN: [&str; 12] = [
    "panic_fmt",
    "panic_bounds",
    "panicking",
    "unwrap_failed",
    "slice_index",
    "__aeabi_f",
    "__aeabi_d",
    "__addsf3",
    "__mulsf3",
    "__adddf3",
    "__rust_alloc",
    "__rdl_alloc",
];

/// The symbols of a sampler's firmware that must not be there.
pub fn forbidden(machine: &'static Machine, format: &str) -> Result<Vec<String>> {
    let model = model(format).display().to_string();
    let elf = Elf::read(&build(machine, "least", &settings(format, &model), "3")?)?;
    if elf.symbols.is_empty() {
        bail!("the firmware has no symbols to look at");
    }
    Ok(elf
        .symbols
        .into_iter()
        .filter(|symbol| FORBIDDEN.iter().any(|name| symbol.contains(name)))
        .collect())
}

fn sizes() -> Result<Vec<Size>> {
    let mut sizes = Vec::new();
    let machine = Machine::find("mps2-an386")?;
    for (how, level) in [("fast (opt-level 3)", "3"), ("small (opt-level z)", "z")] {
        let empty = Elf::read(&build(machine, "least", &[("ANCESTRAL_EMPTY", "1")], level)?)?;
        for format in FORMATS {
            let path = model(format);
            let shown = path.display().to_string();
            let full = Elf::read(&build(machine, "least", &settings(format, &shown), level)?)?;
            let model = fs::metadata(&path)
                .with_context(|| format!("cannot read {}", paths::shown(&path)))?
                .len();
            sizes.push(Size {
                core: machine.core,
                format,
                how,
                code: full.code.saturating_sub(empty.code),
                constants: full
                    .constants
                    .saturating_sub(empty.constants)
                    .saturating_sub(model as u32),
                model,
            });
        }
    }
    Ok(sizes)
}

fn page(rows: &[Row], samples: &[Sample], sizes: &[Size]) -> Result<String> {
    let mut page = String::from(HEAD);
    let find = |core: &str, format: &str, shape: &str, batch: u32| {
        rows.iter()
            .find(|row| row.core == core && row.format == format && row.shape == shape && row.batch == batch)
    };
    let each = |core: &str, format: &str, shape: &str, batch: u32| {
        find(core, format, shape, batch).map_or_else(String::new, |row| format!("{:.3}", row.each()))
    };
    for machine in machines()? {
        let core = machine.core;
        for format in FORMATS {
            let Some(row) = find(core, format, "256x256", 1) else {
                continue;
            };
            write!(page, "| {core} | `{}` | `{format}` |", row.kernel)?;
            for shape in ["64x128", "128x128", "256x256"] {
                write!(
                    page,
                    " {} | {} |",
                    each(core, format, shape, 1),
                    each(core, format, shape, 4)
                )?;
            }
            writeln!(page, " {} |", each(core, format, "tiny", 1))?;
        }
        let (bytes, nibbles) = cmsis(core);
        writeln!(
            page,
            "| {core} | CMSIS-NN | s8 | {:.3} | | {:.3} | | {:.3} | | |",
            bytes[0], bytes[1], bytes[2]
        )?;
        if let Some(nibbles) = nibbles {
            writeln!(page, "| {core} | CMSIS-NN | s4 | | | | | {nibbles:.3} | | |")?;
        }
    }
    page.push_str(CONTRACT);
    if !samples.is_empty() {
        page.push_str(SAMPLES);
        for s in samples {
            let around = 1.0 - (s.steps * s.mlp) as f64 / s.all.max(1) as f64;
            writeln!(
                page,
                "| {} | `{}` | {} | {} | {} | {} | {} | {} | {:.1} % |",
                s.core,
                s.format,
                s.all,
                s.all / s.steps.max(1),
                s.mlp,
                s.noise,
                s.update,
                s.decode,
                100.0 * around
            )?;
        }
    }
    if !sizes.is_empty() {
        page.push_str(SIZES);
        for s in sizes {
            writeln!(
                page,
                "| {} | `{}` | {} | {} | {} | {} |",
                s.core, s.format, s.how, s.code, s.constants, s.model
            )?;
        }
    }
    Ok(page)
}

const HEAD: &str = "# Instructions, measured

Written by `cargo xtask bench`; not edited by hand. All counts are of instructions that QEMU executed, exact and the same on every run. They are not
cycles: a load of four words counts one and takes five cycles on Cortex-M4, a taken branch counts one and takes up to three.

## Layers

Instructions per multiply-accumulate of a whole layer: bringing the input into the kernel's order, products, bias, requantisation, rectifier. Batch 1 and
batch 4. The last column is the network of MLPerf Tiny's anomaly detection (640-128-128-128-128-8-128-128-128-128-640), batch 1.

| core | kernel | format | 64×128 | ×4 | 128×128 | ×4 | 256×256 | ×4 | network |
|---|---|---|---:|---:|---:|---:|---:|---:|---:|
";

const CONTRACT: &str = "
CMSIS-NN is `arm_fully_connected_s8` and `arm_fully_connected_s4` of commit 99f736a (GCC 12.2 -O3, for the M55 clang), counted the same way. Its contract is another: one scale
for the whole tensor, zero points, 32-bit biases, 8 bits in and out. Here there is a multiplier and a shift per row, 16-bit biases, no zero point in the loop;
`w8a16` has 16-bit activations, which CMSIS-NN multiplies in `arm_fully_connected_s16`. Armv6-M code runs on an emulated Cortex-M3, for its memory.
";

const SAMPLES: &str = "
## Samples

Instructions of a digit of the models `digits-t64-*.vdm` (64 dimensions, width 256, 64 steps, 229,376 products a step), and of one step: the network, 64 normals, and the rest of the two
lines; decoding comes once. The last column is everything but the network, of the whole digit.

| core | format | digit | a step | network | noise | update | decode | around the network |
|---|---|---:|---:|---:|---:|---:|---:|---:|
";

const SIZES: &str = "
## Flash

Bytes of a firmware that draws a digit, less those of one that does nothing: the generator, the sampler, the network in one format and its kernel. Constants are the table of the
normal.

| core | format | setting | code | constants | model |
|---|---|---|---:|---:|---:|
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_those_of_the_shape_and_batch() {
        let row = |shape: &str, batch| Row {
            core: "Cortex-M4F",
            kernel: "dsp".to_owned(),
            format: "w8a8".to_owned(),
            shape: shape.to_owned(),
            batch,
            instructions: 32_768,
        };
        assert_eq!(row("64x128", 4).products(), 32_768);
        assert!((row("64x128", 4).each() - 1.0).abs() < 1e-12);
        assert_eq!(row("tiny", 1).products(), TINY);
    }
}
