//! Packages unpacked into the build folder, where apt could install them only by removing others.
//!
//! An emulator needs no more than its files: it and the libraries that the system lacks are downloaded and unpacked,
//! and nothing outside the repository changes.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::paths;
use crate::process;
use crate::setup::simulate;

/// Returns the folder that stands for the system's root.
fn root() -> PathBuf {
    paths::target().join("packages/root")
}

/// Returns the path of an unpacked program.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = root().join("usr/bin").join(name);
    (path.is_file() && complete().is_file()).then_some(path)
}

fn complete() -> PathBuf {
    paths::target().join("packages/complete")
}

/// Returns a command that runs an unpacked program with the libraries that were unpacked with it.
pub fn command(program: &Path) -> Command {
    let mut folders: Vec<PathBuf> = Vec::new();
    for parent in ["usr/lib", "lib"] {
        let entries = fs::read_dir(root().join(parent)).into_iter().flatten().flatten();
        // Debian's folders are named after the machine, as x86_64-linux-gnu.
        folders.extend(entries.map(|entry| entry.path()).filter(|path| path.is_dir()));
    }
    let inherited = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    folders.extend(env::split_paths(&inherited).filter(|path| !path.as_os_str().is_empty()));
    let mut command = Command::new(program);
    command.env(
        "LD_LIBRARY_PATH",
        env::join_paths(folders).unwrap_or_else(|_| OsString::new()),
    );
    command
}

/// Downloads packages with all that they need, and unpacks them.
pub fn unpack(packages: &[String]) -> Result<()> {
    let folder = paths::target().join("packages");
    println!(
        "unpacking {} into {} instead",
        packages.join(", "),
        paths::shown(&folder)
    );
    let archives = folder.join("archives");
    let cannot_write = || format!("cannot write {}", paths::shown(&folder));
    let _ = fs::remove_file(complete());
    for path in [&root(), &archives] {
        if path.exists() {
            fs::remove_dir_all(path).with_context(cannot_write)?;
        }
        fs::create_dir_all(path).with_context(cannot_write)?;
    }
    let names = simulate::closure(packages)?;
    process::run(
        Command::new("apt-get")
            .current_dir(&archives)
            .args(["-q", "download"])
            .args(names),
    )?;
    for entry in fs::read_dir(&archives).with_context(cannot_write)?.flatten() {
        process::run(Command::new("dpkg-deb").arg("-x").arg(entry.path()).arg(root()))?;
    }
    fs::remove_dir_all(&archives).with_context(cannot_write)?;
    // Written last: an unpacking that was interrupted starts again.
    fs::write(complete(), "").with_context(cannot_write)
}
