//! Flash and memory of a firmware that draws samples, and what must not be in it.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result, bail};
use firmware_build::machine::Machine;

use super::firmware_run::{build, find_count, run};
use super::subjects::{Model, integer_formats, machines};
use crate::elf::Elf;
use crate::paths;

/// Levels of optimization, and what the page calls them.
const LEVELS: [(&str, &str); 2] = [("fast (opt-level 3)", "3"), ("small (opt-level z)", "z")];

/// Bytes of a firmware that only draws a sample, without those of an empty one, and what it has in memory.
pub struct Size {
    core: &'static str,
    format: &'static str,
    how: &'static str,
    code: u32,
    constants: u32,
    model: u64,
    buffers: u64,
    sampler: u64,
    stack: u64,
}

/// Symbols that a firmware must not contain: none of these can be reached by drawing a sample.
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
pub fn forbidden(machine: &'static Machine, format: &'static str) -> Result<Vec<String>> {
    let elf = Elf::read(&build(machine, "least", &Model::digits(format).settings(), "3")?)?;
    if elf.symbols.is_empty() {
        bail!("the firmware has no symbols to look at");
    }
    Ok(elf
        .symbols
        .into_iter()
        .filter(|symbol| FORBIDDEN.iter().any(|name| symbol.contains(name)))
        .collect())
}

/// Every core's firmware in every format, at both levels.
pub fn measure() -> Result<Vec<Size>> {
    let mut sizes = Vec::new();
    for machine in machines()? {
        for (how, level) in LEVELS {
            eprintln!("{}: sizes, {how}", machine.core);
            let empty = Elf::read(&build(machine, "least", &[("ANCESTRAL_EMPTY", "1".to_owned())], level)?)?;
            for format in integer_formats() {
                sizes.push(one(machine, format, (how, level), &empty)?);
            }
        }
    }
    Ok(sizes)
}

fn one(
    machine: &'static Machine,
    format: &'static str,
    (how, level): (&'static str, &str),
    empty: &Elf,
) -> Result<Size> {
    let model = Model::digits(format);
    let full = Elf::read(&build(machine, "least", &model.settings(), level)?)?;
    let path = &model.path;
    let model_bytes = fs::metadata(path)
        .with_context(|| format!("cannot read {}", paths::shown(path)))?
        .len();
    let lines = run(machine, &build(machine, "stack", &model.settings(), level)?)?;
    let count = |name: &str| find_count(&lines, name);
    Ok(Size {
        core: machine.core,
        format,
        how,
        code: full.code.saturating_sub(empty.code),
        constants: full
            .constants
            .saturating_sub(empty.constants)
            .saturating_sub(model_bytes as u32),
        model: model_bytes,
        buffers: count("buffers")?,
        sampler: count("sampler")?,
        stack: count("stack")?.saturating_sub(count("nothing")?),
    })
}

/// The part of the page about sizes.
pub fn page(sizes: &[Size], page: &mut String) -> Result<()> {
    page.push_str(HEAD);
    for s in sizes {
        writeln!(
            page,
            "| {} | `{}` | {} | {} | {} | {} | {} | {} | {} |",
            s.core, s.format, s.how, s.code, s.constants, s.model, s.buffers, s.sampler, s.stack
        )?;
    }
    Ok(())
}

const HEAD: &str = "
## Flash and memory

Bytes. Of flash: a firmware that draws a digit, less one that does nothing: the generator, the sampler, the network in
one format and its kernel, and the functions that clear memory. Constants are the table of the normal. Of memory: the
buffers (64 dimensions, width 256), the whole sampler with them, and the stack that drawing takes at its deepest, found
by painting it. There is nothing else: no heap and no static memory.

| core | format | setting | code | constants | model | buffers | sampler | stack |
|---|---|---|---:|---:|---:|---:|---:|---:|
";
