//! Instructions and estimated cycles of a sample, and what they are made of.

use std::fmt::Write as _;

use anyhow::Result;
use firmware_build::machine::Machine;

use super::cycles::{self, Timing};
use super::firmware_run::{build, find_count, run, run_at};
use super::subjects::Model;

/// A sample and what it is made of, in instructions.
pub struct Sample {
    core: &'static str,
    model: Model,
    steps: u64,
    all: u64,
    /// Instructions of the network in all steps.
    mlp: u64,
    noise: u64,
    update: u64,
    /// Instructions of the read-out in all steps.
    read_out: u64,
    /// Instructions of the network decoder: its call of the network, and the drawing of levels.
    decoder: u64,
    decode: u64,
    /// Instructions of one of four that are drawn at once.
    of_four: u64,
    /// Estimated cycles of the whole, where the core's timings are published.
    cycles: Option<u64>,
}

/// Draws one with a model on a machine.
pub fn measure(machine: &'static Machine, model: Model) -> Result<Sample> {
    let elf = build(machine, "digit", &model.settings(), "3")?;
    let lines = run(machine, &elf)?;
    let count = |name: &str| find_count(&lines, name);
    // Four steps of the slowest core take longer than the timer.
    let longer = run_at(machine, &elf, "shift=7")?;
    let (steps, chain, mlp, noise, decode) = (
        count("steps")?,
        count("chain")?,
        count("mlp")?,
        count("noise")?,
        count("decode")?,
    );
    let cycles = match Timing::known(machine) {
        // After the scale: the start, the calls, one that does nothing at the chain's end, the decoding.
        Some(timing) => {
            let stretches = cycles::stretches(machine, &elf, timing)?;
            Some(stretches.into_iter().skip(2).take(count("calls")? as usize + 3).sum())
        }
        None => None,
    };
    Ok(Sample {
        core: machine.core,
        model,
        steps,
        all: count("start")? + chain + count("decoder")? + decode,
        read_out: count("readout")?,
        decoder: count("decoder")?,
        mlp,
        noise,
        update: (chain.saturating_sub(mlp) / steps.max(1)).saturating_sub(noise),
        decode,
        of_four: find_count(&longer, "four")? / 4,
        cycles,
    })
}

/// The part of the page about samples.
pub fn page(samples: &[Sample], page: &mut String) -> Result<()> {
    page.push_str(HEAD);
    for s in samples {
        let cycles = s
            .cycles
            .map_or_else(String::new, |cycles| format!("{:.1}", cycles as f64 / 1e6));
        writeln!(
            page,
            "| {} | {} | `{}` | {} | {} | {} | {} | {} | {} ({:.1} %) | {} | {} | {} | {cycles} |",
            s.core,
            s.model.width,
            s.model.format,
            s.all,
            (s.all - s.decoder) / s.steps.max(1),
            s.mlp / s.steps.max(1),
            s.noise,
            s.update,
            s.read_out / s.steps.max(1),
            100.0 * s.read_out as f64 / s.mlp.max(1) as f64,
            s.decoder,
            s.decode,
            s.of_four
        )?;
    }
    Ok(())
}

const HEAD: &str = "
## Samples

Instructions of a digit of the models `digits-t64-*.vdm` (64 dimensions, width 256, 64 steps, 229,376 products a step)
and `digits-small-t64-*.vdm` (width 64, 20,480 products a step), and of one step: the network (the mean of all steps),
64 normals, and the rest of the two lines, of which the read-out with its two products is shown by itself and beside the
network. A digit takes one more call of the network than steps: the decoder, with the drawing of the levels. The last
columns are a digit where four are drawn at once, and the digit's estimated cycles in millions.

| core | width | format | digit | a step | network | noise | update | read-out | decoder | decode | one of four | Mcycles |
|---|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|
";
