//! Calling the `host-train` program.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::paths;
use crate::process;

/// Arguments of cargo for the tests of `host-train`: optimized, because candle is compiled for it once and the tests
/// train, but with every overflow checked in its own code.
pub const CHECKED: [&str; 4] = [
    "--config",
    "profile.release.package.host-train.overflow-checks=true",
    "--config",
    "profile.release.package.host-train.debug-assertions=true",
];

/// A built `host-train`.
#[derive(Debug)]
pub struct HostTrain {
    program: PathBuf,
}

impl HostTrain {
    /// Builds it optimized, for users' commands.
    pub fn release() -> Result<Self> {
        Self::build(&[])
    }

    /// Builds the program that the tests run: also optimized, with [checks](CHECKED), and without a word.
    pub fn checked() -> Result<Self> {
        Self::build(&[&["--quiet"][..], &CHECKED].concat())
    }

    fn build(more: &[&str]) -> Result<Self> {
        process::run(
            process::cargo()
                .args(["build", "--release", "--package", "host-train"])
                .args(more),
        )?;
        let file = format!("host-train{}", std::env::consts::EXE_SUFFIX);
        Ok(Self {
            program: paths::target().join("release").join(file),
        })
    }

    fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(paths::root()).args(arguments);
        command
    }

    /// Runs it for the user to see.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<()> {
        process::run(&mut self.command(arguments))
    }

    /// Runs it for what it prints.
    pub fn capture<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<String> {
        process::capture(&mut self.command(arguments))
    }

    /// The `hex` lines of samples drawn on the desktop.
    pub fn hex(&self, model: &Path, count: u32, seed: u64) -> Result<String> {
        self.capture([
            OsStr::new("sample"),
            model.as_os_str(),
            OsStr::new("--count"),
            OsStr::new(&count.to_string()),
            OsStr::new("--seed"),
            OsStr::new(&seed.to_string()),
            OsStr::new("--hex"),
        ])
    }
}
