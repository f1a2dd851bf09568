//! A virtual environment of Python with the packages of `tools/requirements.txt`.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::paths;
use crate::process;

/// The environment's Python.
#[derive(Debug)]
pub struct Python {
    program: PathBuf,
}

/// Folder of the scripts and their requirements.
fn tools() -> PathBuf {
    paths::root().join("tools")
}

fn folder() -> PathBuf {
    paths::target().join("quality/python")
}

fn program() -> PathBuf {
    folder().join(if cfg!(windows) {
        "Scripts/python.exe"
    } else {
        "bin/python"
    })
}

/// Copy of the requirements that were installed.
fn installed() -> PathBuf {
    folder().join("installed.txt")
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", paths::shown(path)))
}

impl Python {
    /// Makes the environment, or returns the one that is there.
    pub fn ensure() -> Result<Self> {
        if let Some(python) = Self::existing()? {
            return Ok(python);
        }
        let system = ["python3", "python"]
            .into_iter()
            .find_map(process::find_program)
            .context("there is no Python: install version 3.11 or newer, with its module venv")?;
        process::run(Command::new(system).args(["-m", "venv", "--clear"]).arg(folder())).with_context(|| {
            "a virtual environment cannot be made: install Python's module venv (on Debian and Ubuntu the package \
             python3-venv)"
        })?;
        let requirements = tools().join("requirements.txt");
        process::run(
            Command::new(program())
                .args(["-m", "pip", "install", "--quiet", "--requirement"])
                .arg(&requirements),
        )
        .context("the packages cannot be installed: Python 3.11 or newer and a way to the package index are needed")?;
        let path = installed();
        fs::write(&path, read(&requirements)?).with_context(|| format!("cannot write {}", paths::shown(&path)))?;
        Ok(Self { program: program() })
    }

    /// Returns the environment if it is there with the packages that are required now.
    pub fn existing() -> Result<Option<Self>> {
        let whole = program().is_file() && installed().is_file();
        let current = whole && read(&installed())? == read(&tools().join("requirements.txt"))?;
        Ok(current.then(|| Self { program: program() }))
    }

    /// A call in the folder of the scripts that leaves no compiled files there.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(tools()).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// Runs a script of `tools/` for what it prints.
    pub fn capture<S: AsRef<OsStr>>(&self, script: &str, arguments: impl IntoIterator<Item = S>) -> Result<String> {
        process::capture(self.command().arg(script).args(arguments))
    }
}

/// Runs the tests in `tools/`, or returns why they cannot run.
pub fn test() -> Result<Option<String>> {
    match Python::existing()? {
        Some(python) => process::run(python.command().args(["-m", "unittest"])).map(|()| None),
        None => Ok(Some(
            "`cargo xtask quality` has not made its Python environment here".to_owned(),
        )),
    }
}
