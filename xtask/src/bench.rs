//! Instructions of layers, steps and samples on every core, counted in QEMU, beside those of CMSIS-NN; sizes;
//! `docs/performance.md`.

mod cycles;
mod firmware_run;
mod layers;
mod samples;
mod sizes;
mod subjects;

use std::fs;

use anyhow::{Context, Result};

use crate::paths;
use crate::process;
use crate::progress;

use subjects::{Model, machines};

pub use sizes::forbidden;
pub use subjects::integer_formats;

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

const HEAD: &str = "# Performance, measured

Written by `cargo xtask bench`; not edited by hand. All counts but those of the last section are of instructions that
QEMU executed, exact and the same on every run. They are not cycles: a load of four words counts one and takes five
cycles on Cortex-M4, a taken branch counts one and takes up to four.
";

const DESKTOP: &str = "
## Desktop

On this machine, in one run: only the ratios say something.

";
