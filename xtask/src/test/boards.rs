//! Checks of one board's firmware.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use firmware_build::machine::Machine;

use super::checks::{Checks, Outcome, passes};
use super::shipped;
use crate::boards::Board;
use crate::compare;
use crate::firmware::{self, Content, Echo};
use crate::host_train::HostTrain;
use crate::inspect;
use crate::paths;
use crate::process;
use crate::setup::{self, Toolchain};

/// Long enough for a busy machine; a firmware that hangs must not hang the run.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Every check of a board: those of its sources and its ELF file, and where there is an emulator, what it draws.
pub fn all(checks: &mut Checks, board: &Board, bless: bool) -> Result<()> {
    // Quick: the first check did the work.
    let toolchain = setup::ensure_board(board)?;
    let content = Content::golden();
    sources(checks, board, &toolchain, &content)?;
    checks.check(&format!("{}: fits its memory", board.name), || {
        let elf = firmware::build(board, &toolchain, &content)?;
        println!("{}", inspect::firmware(&elf, board.target, &board.memory()?)?);
        Ok(Outcome::Passed)
    })?;
    match board.machine() {
        Some(machine) => emulated(checks, board, machine, &toolchain, bless),
        None => Ok(()),
    }
}

fn sources(checks: &mut Checks, board: &Board, toolchain: &Toolchain, content: &Content) -> Result<()> {
    let name = board.name;
    let cargo = |arguments: &[&str]| passes(process::cargo().current_dir(board.folder()).args(arguments));
    checks.check(&format!("{name}: lock file is up to date"), || {
        cargo(&["fetch", "--locked"])
    })?;
    checks.check(&format!("{name}: format"), || cargo(&["fmt", "--check"]))?;
    checks.check(&format!("{name}: lints"), || {
        let Some(mut clippy) = toolchain.clippy() else {
            return Ok(Outcome::Skipped(
                "the compiler for this target comes without clippy".to_owned(),
            ));
        };
        passes(content.prepare(board, &mut clippy).args(["--", "-D", "warnings"]))
    })?;
    for variant in board.variants {
        checks.check(&format!("{name}: builds with {variant}"), || {
            passes(
                content
                    .prepare(board, &mut toolchain.cargo("build"))
                    .args(["--features", variant])
                    .env("DEFMT_LOG", "info"),
            )
        })?;
    }
    Ok(())
}

fn emulated(checks: &mut Checks, board: &Board, machine: &Machine, toolchain: &Toolchain, bless: bool) -> Result<()> {
    let name = board.name;
    let content = Content::golden();
    let mut output = String::new();
    checks.check(&format!("{name}: runs in QEMU"), || {
        let elf = firmware::build(board, toolchain, &content)?;
        output = firmware::run(machine, &elf, TIMEOUT, Echo::No)?;
        Ok(Outcome::Passed)
    })?;
    checks.check(&format!("{name}: draws what the desktop draws"), || {
        let count = same_as_desktop(&output, &content)?;
        println!("{count} samples, the same bytes");
        Ok(Outcome::Passed)
    })?;
    let title = format!("{name}: draws what the desktop draws with every model");
    checks.check(&title, || {
        for name in shipped::names() {
            let content = Content {
                model: shipped::path(&name),
                count: 2,
                seed: Content::SEED + 1,
            };
            let elf = firmware::build(board, toolchain, &content)?;
            let output = firmware::run(machine, &elf, TIMEOUT, Echo::No)?;
            let count = same_as_desktop(&output, &content)?;
            println!("{name}: {count} samples, the same bytes");
        }
        Ok(Outcome::Passed)
    })?;
    checks.check(&format!("{name}: prints what it should"), || {
        golden(board, &output, bless)
    })
}

fn same_as_desktop(output: &str, content: &Content) -> Result<usize> {
    let desktop = HostTrain::checked()?.hex(&content.model, content.count, content.seed)?;
    compare::same_digits(output, &desktop)
}

fn golden(board: &Board, output: &str, bless: bool) -> Result<Outcome> {
    let path = board.golden();
    if bless {
        fs::write(&path, output).with_context(|| format!("cannot write {}", path.display()))?;
        println!("renewed {}", paths::shown(&path));
        return Ok(Outcome::Passed);
    }
    let shown = paths::shown(&path);
    let Ok(expected) = fs::read_to_string(&path) else {
        bail!("there is no {shown}: make it with `cargo xtask test --bless`");
    };
    compare::same_text(&expected, output).with_context(|| {
        format!(
            "the firmware's output is not {shown} (after a change that means to change it, renew it \
             with `cargo xtask test --bless`)"
        )
    })?;
    Ok(Outcome::Passed)
}
