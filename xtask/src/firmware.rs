//! Firmware: built for a board with a model in it, and run in QEMU.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use firmware_build::machine::Machine;

use crate::boards::{BOARDS, Board};
use crate::inspect;
use crate::paths;
use crate::process;
use crate::progress;
use crate::setup::{self, Toolchain};

/// Arguments of `cargo xtask firmware`.
#[derive(clap::Args)]
pub struct Args {
    /// The board, a folder of firmware-examples/
    #[arg(long, default_value = BOARDS[0].name)]
    board: String,
    /// The model that goes into the firmware [default: models/digits-t8-w8a16.vdm]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Number of samples
    #[arg(long, default_value_t = Content::COUNT)]
    count: u32,
    /// Seed of the generator
    #[arg(long, default_value_t = Content::SEED)]
    seed: u64,
    /// Seconds until a firmware that does not end is stopped
    #[arg(long, default_value_t = 120)]
    timeout: u64,
    /// Also write what it prints to this file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Contents of a firmware beside its code.
#[derive(Debug)]
pub struct Content {
    /// The model file.
    pub model: PathBuf,
    /// Number of samples.
    pub count: u32,
    /// Seed of its generator.
    pub seed: u64,
}

impl Content {
    /// The firmware's own defaults, which its golden output was made with.
    pub const COUNT: u32 = 10;
    /// See [`Self::COUNT`].
    pub const SEED: u64 = 7;

    /// Contents of a plain `cargo run` in the board's folder.
    pub fn golden() -> Self {
        Self {
            model: paths::default_model(),
            count: Self::COUNT,
            seed: Self::SEED,
        }
    }

    /// Makes a cargo command one about this firmware. The same profile and content every time: the lints, the build
    /// with defmt and the plain one then share what they can.
    pub fn prepare<'c>(&self, board: &Board, cargo: &'c mut Command) -> &'c mut Command {
        cargo
            // Its .cargo/config.toml counts as it does for a person.
            .current_dir(board.folder())
            .arg("--release")
            .env("ANCESTRAL_MODEL", &self.model)
            .env("ANCESTRAL_COUNT", self.count.to_string())
            .env("ANCESTRAL_SEED", self.seed.to_string())
    }
}

/// `cargo xtask firmware`.
pub fn command(args: &Args) -> Result<()> {
    let board = Board::find(&args.board)?;
    let model = match &args.model {
        // The build runs in another folder.
        Some(model) => {
            std::path::absolute(model).with_context(|| format!("cannot find the model {}", model.display()))?
        }
        None => paths::default_model(),
    };
    let content = Content {
        model,
        count: args.count,
        seed: args.seed,
    };
    let toolchain = setup::ensure_board(board)?;
    let elf = build(board, &toolchain, &content)?;
    eprintln!("{}", inspect::firmware(&elf, board.target, &board.memory()?)?);
    let Some(machine) = board.machine() else {
        println!("no emulator runs {}: flash {}", board.name, elf.display());
        return Ok(());
    };
    let output = run(machine, &elf, Duration::from_secs(args.timeout), Echo::Yes)?;
    if let Some(path) = &args.out {
        fs::write(path, output).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Builds the firmware and returns its ELF file.
pub fn build(board: &Board, toolchain: &Toolchain, content: &Content) -> Result<PathBuf> {
    if !content.model.is_file() {
        bail!(
            "there is no model {}: name another one with --model, or make it with `cargo xtask models`",
            paths::shown(&content.model)
        );
    }
    let mut cargo = toolchain.cargo("build");
    let cargo = content.prepare(board, &mut cargo).arg("--quiet");
    progress::during(&format!("building the firmware {}", board.name), || process::run(cargo))
        .with_context(|| format!("cannot build the firmware {}", board.name))?;
    Ok(elf(board.target, board.name))
}

/// Where a release build of the package `name` lies.
pub fn elf(target: &str, name: &str) -> PathBuf {
    paths::bare_metal_target().join(target).join("release").join(name)
}

/// A machine as messages name it.
pub fn named(machine: &Machine) -> String {
    format!("{} ({})", machine.name, machine.core)
}

/// Amount of a firmware's output that is shown while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    /// Line by line.
    Yes,
    /// Without the hex lines: a hundred digits are worth looking at, their bytes are not.
    Pictures,
    /// Not at all.
    No,
}

/// Runs a firmware in QEMU and returns what it printed. An exit status other than success is an
/// error, and so is not coming to an end.
pub fn run(machine: &Machine, elf: &Path, timeout: Duration, echo: Echo) -> Result<String> {
    run_with(machine, elf, timeout, echo, &[])
}

/// [`run`] with more arguments for QEMU.
pub fn run_with(machine: &Machine, elf: &Path, timeout: Duration, echo: Echo, more: &[&str]) -> Result<String> {
    let mut qemu = qemu(machine, elf, more);
    let emulated = match echo {
        Echo::No => progress::during(&format!("emulating {}", named(machine)), || {
            emulate(&mut qemu, timeout, echo)
        }),
        _ => emulate(&mut qemu, timeout, echo),
    };
    emulated.with_context(|| format!("the firmware failed on {}", named(machine)))
}

/// The command that emulates a machine with a firmware in it.
pub fn qemu(machine: &Machine, elf: &Path, more: &[&str]) -> Command {
    let mut qemu = setup::qemu_command(machine);
    qemu.args(machine.qemu_args)
        .args(more)
        .args([
            "-nographic",
            "-semihosting-config",
            "enable=on,target=native",
            "-kernel",
        ])
        .arg(elf);
    qemu
}

fn emulate(qemu: &mut Command, timeout: Duration, echo: Echo) -> Result<String> {
    // Without a terminal of its own, QEMU does not wait for keys and Ctrl-C ends it.
    let mut guest = qemu
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{}`", process::shown(qemu)))?;
    let stream = guest.stdout.take().context("QEMU has no standard output")?;
    let reader = thread::spawn(move || collect(stream, echo));
    let ended = wait(&mut guest, timeout);
    let output = reader.join().unwrap_or_default();
    let printed = || match output.lines().last() {
        Some(line) if echo == Echo::No => format!("; the last line it printed: `{line}`"),
        _ => String::new(),
    };
    match ended? {
        Some(status) if status.success() => Ok(output),
        Some(status) => bail!("it ended with {status}{}", printed()),
        None => bail!(
            "it did not end within {} s and was stopped{}",
            timeout.as_secs(),
            printed()
        ),
    }
}

/// The exit status, or `None` where the time was up and the guest was killed.
fn wait(guest: &mut Child, timeout: Duration) -> Result<Option<std::process::ExitStatus>> {
    let start = Instant::now();
    while start.elapsed() < timeout {
        if let Some(status) = guest.try_wait().context("cannot wait for QEMU")? {
            return Ok(Some(status));
        }
        thread::sleep(Duration::from_millis(20));
    }
    guest.kill().context("cannot stop QEMU")?;
    guest.wait().context("cannot wait for QEMU")?;
    Ok(None)
}

fn collect(stream: impl Read, echo: Echo) -> String {
    let mut all = Vec::new();
    let mut reader = BufReader::new(stream);
    loop {
        let start = all.len();
        // Bytes, not text: a firmware may well print something else.
        match reader.read_until(b'\n', &mut all) {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        let line = all.get(start..).unwrap_or_default();
        let shown = match echo {
            Echo::Yes => true,
            Echo::Pictures => !line.starts_with(b"hex "),
            Echo::No => false,
        };
        if shown {
            let _ = std::io::stdout().write_all(line);
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use firmware_build::machine::MACHINES;

    fn guest(script: &str, seconds: u64) -> Result<String> {
        // The shell alone: a minimal system has no other programs.
        let mut shell = Command::new("sh");
        emulate(shell.args(["-c", script]), Duration::from_secs(seconds), Echo::No)
    }

    /// The folders of the firmwares repeat the command for a plain `cargo run`.
    #[test]
    fn plain_cargo_run_starts_the_same_emulator() {
        let mut seen = 0;
        for entry in fs::read_dir(paths::root().join("firmware-examples")).unwrap() {
            let path = entry.unwrap().path().join(".cargo/config.toml");
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let value = |key: &str| {
                let line = text
                    .lines()
                    .find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
                line.unwrap().trim_matches('"').to_owned()
            };
            let (target, runner) = (value("target"), value("runner"));
            let named = |machine: &&Machine| runner.split(' ').any(|word| word == machine.name);
            let machine = MACHINES.iter().find(named).unwrap();
            let command = qemu(machine, Path::new("elf"), &[]);
            let arguments: Vec<_> = command.get_args().map(|argument| argument.to_str().unwrap()).collect();
            assert_eq!(
                format!("{runner} elf"),
                format!("{} {}", machine.qemu, arguments.join(" ")),
                "{}",
                path.display()
            );
            assert_eq!(target, machine.target, "{}", path.display());
            assert!(text.contains(&format!("[target.{target}]")), "{}", path.display());
            seen += 1;
        }
        assert!(seen >= BOARDS.iter().filter(|board| board.machine().is_some()).count());
        assert!(seen > 0);
    }

    #[test]
    fn output_is_collected() {
        assert_eq!(guest("echo digit; echo hex 0 00", 60).unwrap(), "digit\nhex 0 00\n");
    }

    #[test]
    fn a_failure_shows_the_last_words() {
        let error = guest("echo starting; echo panicked at main.rs; exit 1", 60).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("exit status: 1; the last line it printed: `panicked"),
            "{message}"
        );
    }

    #[test]
    fn a_guest_that_hangs_is_stopped() {
        let start = Instant::now();
        let message = guest("echo before; while :; do :; done", 1).unwrap_err().to_string();
        assert!(message.contains("did not end within 1 s"), "{message}");
        assert!(message.contains("`before`"), "{message}");
        assert!(start.elapsed() < Duration::from_secs(30));
    }
}
