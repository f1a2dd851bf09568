//! Every check, in order, from quick to slow. The first that fails ends the run.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use ancestral::FormatId;
use anyhow::{Context, Result, bail};

use crate::bench;
use crate::boards::{BOARDS, Board, MACHINES, Machine};
use crate::compare;
use crate::firmware::{self, Content, Echo};
use crate::host_train::HostTrain;
use crate::parity;
use crate::paths;
use crate::process;
use crate::setup::{self, Toolchain};

/// The shipped models of the digits that every machine must draw the same bytes with: each number format, and a reverse variance
/// per direction.
fn models() -> Vec<String> {
    let formats = FormatId::ALL.iter().map(|id| format!("digits-t64-{id}"));
    formats.chain(["digits-t8-w8a16".to_owned()]).collect()
}

/// Long enough for a busy machine; a firmware that hangs must not hang the run.
const FIRMWARE_TIMEOUT: Duration = Duration::from_secs(300);

/// What `cargo xtask test` takes.
#[derive(clap::Args)]
pub struct Args {
    /// Renew the golden vectors and the firmware's golden output instead of comparing with them
    #[arg(long)]
    bless: bool,
    /// Leave out the checks of the desktop's crates
    #[arg(long)]
    only_firmware: bool,
}

/// How a check ended that did not fail.
enum Outcome {
    Passed,
    /// With the reason.
    Skipped(&'static str),
}

/// Counts the checks and prints a heading for each.
#[derive(Default)]
struct Checks {
    passed: usize,
    skipped: usize,
}

impl Checks {
    fn check(&mut self, title: &str, action: impl FnOnce() -> Result<Outcome>) -> Result<()> {
        println!("\n=== {title}");
        let start = Instant::now();
        match action() {
            Ok(Outcome::Passed) => {
                println!("=== ok: {title} ({:.0} s)", start.elapsed().as_secs_f64());
                self.passed += 1;
                Ok(())
            }
            Ok(Outcome::Skipped(reason)) => {
                println!("=== skipped: {title}: {reason}");
                self.skipped += 1;
                Ok(())
            }
            Err(error) => {
                println!("\n{}", self.summary(1));
                Err(error.context(format!("the check \"{title}\" failed")))
            }
        }
    }

    /// A check that is one run of cargo in the workspace.
    fn cargo(&mut self, title: &str, arguments: &str) -> Result<()> {
        self.check(title, || passes(process::cargo().args(arguments.split_whitespace())))
    }

    fn summary(&self, failed: usize) -> String {
        let skipped = match self.skipped {
            0 => String::new(),
            some => format!(", {some} skipped"),
        };
        format!("{} passed, {failed} failed{skipped}", self.passed)
    }
}

fn passes(command: &mut Command) -> Result<Outcome> {
    process::run(command)?;
    Ok(Outcome::Passed)
}

/// `cargo xtask test`.
pub fn command(args: &Args) -> Result<()> {
    let mut checks = Checks::default();
    checks.check("set-up", || {
        setup::everything()?;
        Ok(Outcome::Passed)
    })?;
    if args.bless {
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
        })?;
    }
    if !args.only_firmware {
        desktop(&mut checks)?;
    }
    for board in BOARDS {
        on_board(&mut checks, board, args.bless)?;
    }
    parity::check_sources(&mut |title, action| checks.check(title, || action().map(|()| Outcome::Passed)))?;
    for machine in MACHINES {
        let title = format!("{} ({}): every format, the desktop's bits", machine.core, machine.name);
        checks.check(&title, || {
            parity::check(machine, parity::FAST).map(|()| Outcome::Passed)
        })?;
    }
    let machine = Machine::find("mps2-an386")?;
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
    )?;
    println!("\n{}", checks.summary(0));
    Ok(())
}

/// One profile for all of it but the core's release tests: candle takes minutes to build.
fn desktop(checks: &mut Checks) -> Result<()> {
    checks.cargo("lock file is up to date", "fetch --locked")?;
    checks.cargo("format", "fmt --all --check")?;
    checks.cargo("lints", "clippy --workspace --all-targets -- -D warnings")?;
    checks.cargo(
        "lints of the core with every feature",
        "clippy --package ancestral --all-targets --all-features -- -D warnings",
    )?;
    checks.check("documentation", || {
        passes(
            process::cargo()
                .args(["doc", "--workspace", "--no-deps"])
                .env("RUSTDOCFLAGS", "-Dwarnings"),
        )
    })?;
    checks.cargo("tests", "test --workspace")?;
    checks.check("training on several processes (MPI)", with_mpi)?;
    checks.cargo(
        "tests of the core with its features",
        "test --package ancestral --features std,alloc",
    )?;
    // Overflow checks are off here and the optimiser is at work: the same bits must come out.
    checks.cargo("tests of the core in release", "test --package ancestral --release")
}

/// The feature changes nothing that other crates are built with, so this compiles `host-train` once more and no other large crate.
fn with_mpi() -> Result<Outcome> {
    if !setup::mpi::ensure() {
        return Ok(Outcome::Skipped(
            "it needs mpirun, mpicc and clang, and apt cannot install them here",
        ));
    }
    for arguments in [
        "clippy --package host-train --features mpi --all-targets -- -D warnings",
        "test --package host-train --features mpi --test mpi",
    ] {
        process::run(process::cargo().args(arguments.split_whitespace()))?;
    }
    Ok(Outcome::Passed)
}

/// Writes again what `tests/golden.rs` compares with.
fn renew_vectors() -> Result<Outcome> {
    let models = models();
    let vectors = |model: &String| paths::root().join(format!("tests/golden/{model}.hex"));
    for path in models.iter().map(vectors) {
        if !path.exists() {
            // A new model: the tests, which are built first, include its file.
            fs::write(&path, "").with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    let host_train = HostTrain::debug()?;
    let content = Content::golden();
    for name in &models {
        let model = paths::root().join(format!("models/{name}.vdm"));
        let path = vectors(name);
        let lines = host_train.hex(&model, content.count, content.seed)?;
        fs::write(&path, lines).with_context(|| format!("cannot write {}", path.display()))?;
        println!("renewed {}", paths::shown(&path));
    }
    Ok(Outcome::Passed)
}

fn on_board(checks: &mut Checks, board: &Board, bless: bool) -> Result<()> {
    let name = board.name;
    // Quick: the first check did the work.
    let toolchain = setup::ensure(&board.machine)?;
    let content = Content::golden();
    for features in ["", "alloc", "defmt"] {
        let with = if features.is_empty() {
            "without features"
        } else {
            features
        };
        checks.check(&format!("the core builds for {}, {with}", board.machine.target), || {
            passes(
                toolchain
                    .cargo("check")
                    // Like the firmware, so that macros are compiled once for both.
                    .args(["--release", "--package", "ancestral", "--no-default-features"])
                    .args(["--features", features]),
            )
        })?;
    }
    checks.check(&format!("{name}: lock file is up to date"), || {
        passes(process::cargo().current_dir(board.folder()).args(["fetch", "--locked"]))
    })?;
    checks.check(&format!("{name}: format"), || {
        passes(process::cargo().current_dir(board.folder()).args(["fmt", "--check"]))
    })?;
    checks.check(&format!("{name}: lints"), || lints(&toolchain, board, &content))?;
    checks.check(&format!("{name}: builds with defmt"), || {
        passes(
            content
                .prepare(board, &mut toolchain.cargo("build"))
                .args(["--features", "defmt"])
                .env("DEFMT_LOG", "info"),
        )
    })?;
    let mut output = String::new();
    checks.check(&format!("{name}: runs in QEMU"), || {
        let elf = firmware::build(board, &toolchain, &content)?;
        output = firmware::run(&board.machine, &elf, FIRMWARE_TIMEOUT, Echo::No)?;
        Ok(Outcome::Passed)
    })?;
    checks.check(&format!("{name}: draws what the desktop draws"), || {
        let desktop = HostTrain::debug()?.hex(&content.model, content.count, content.seed)?;
        let count = compare::same_digits(&output, &desktop)?;
        println!("{count} samples, the same bytes");
        Ok(Outcome::Passed)
    })?;
    checks.check(
        &format!("{name}: draws what the desktop draws with every model"),
        || {
            for name in models() {
                let content = Content {
                    model: paths::root().join(format!("models/{name}.vdm")),
                    count: 2,
                    seed: Content::SEED + 1,
                };
                let elf = firmware::build(board, &toolchain, &content)?;
                let output = firmware::run(&board.machine, &elf, FIRMWARE_TIMEOUT, Echo::No)?;
                let desktop = HostTrain::debug()?.hex(&content.model, content.count, content.seed)?;
                let count = compare::same_digits(&output, &desktop)?;
                println!("{name}: {count} samples, the same bytes");
            }
            Ok(Outcome::Passed)
        },
    )?;
    checks.check(&format!("{name}: prints what it should"), || {
        golden(board, &output, bless)
    })
}

fn lints(toolchain: &Toolchain, board: &Board, content: &Content) -> Result<Outcome> {
    let Some(mut clippy) = toolchain.clippy() else {
        return Ok(Outcome::Skipped("the compiler for this target comes without clippy"));
    };
    passes(content.prepare(board, &mut clippy).args(["--", "-D", "warnings"]))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_counted() {
        let mut checks = Checks::default();
        checks.check("one", || Ok(Outcome::Passed)).unwrap();
        checks.check("two", || Ok(Outcome::Passed)).unwrap();
        assert_eq!(checks.summary(0), "2 passed, 0 failed");
        checks.check("three", || Ok(Outcome::Skipped("not here"))).unwrap();
        let error = checks.check("four", || bail!("it broke")).unwrap_err();
        assert_eq!(format!("{error:#}"), "the check \"four\" failed: it broke");
        assert_eq!(checks.summary(1), "2 passed, 1 failed, 1 skipped");
    }
}
