//! Commands of cargo for a bare-metal target.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::paths;
use crate::process;
use crate::setup::distro;
use crate::setup::route::Route;

/// Returns the compiler for a target, after everything is provided. The distribution's builds its library first,
/// once.
pub fn for_target(target: &'static str) -> Result<Toolchain> {
    if Route::to(target)? != Route::Distro {
        return Ok(Toolchain::InUse { target });
    }
    let compiler = distro::Compiler::find()?;
    let sysroot = compiler.ensure_sysroot(target)?;
    Ok(Toolchain::Distro {
        target,
        compiler,
        sysroot,
    })
}

/// Compiler and library of a bare-metal target.
#[derive(Debug)]
pub enum Toolchain {
    /// The toolchain in use has the target.
    InUse {
        /// Target triple.
        target: &'static str,
    },
    /// The distribution's compiler has it, in a sysroot of this repository's own.
    Distro {
        /// Target triple.
        target: &'static str,
        /// The compiler.
        compiler: distro::Compiler,
        /// Folder of the library.
        sysroot: PathBuf,
    },
}

impl Toolchain {
    /// `cargo <subcommand>` for the target, in the root of the workspace.
    pub fn cargo(&self, subcommand: &str) -> Command {
        let mut command = process::cargo();
        command.arg(subcommand);
        self.for_target(&mut command);
        command
    }

    /// `cargo clippy` for the target, or `None` where this compiler has no clippy.
    pub fn clippy(&self) -> Option<Command> {
        let Self::Distro { compiler, .. } = self else {
            return Some(self.cargo("clippy"));
        };
        let mut command = Command::new(compiler.cargo_clippy()?);
        command
            .arg("clippy")
            .current_dir(paths::root())
            .env("CARGO", process::cargo_path());
        process::forget_own_package(&mut command);
        self.for_target(&mut command);
        Some(command)
    }

    fn for_target(&self, command: &mut Command) {
        command.arg("--target-dir").arg(paths::bare_metal_target());
        match self {
            Self::InUse { target } => {
                command.args(["--target", target]);
            }
            Self::Distro {
                target,
                compiler,
                sysroot,
            } => {
                let linker = target.to_uppercase().replace(['-', '.'], "_");
                let mut flags = inherited_flags();
                flags.push(format!("--sysroot={}", sysroot.display()));
                command
                    .args(["--target", target])
                    .env("RUSTC", &compiler.rustc)
                    .env(format!("CARGO_TARGET_{linker}_LINKER"), &compiler.linker)
                    // The encoded form: the path of the repository may have spaces in it.
                    .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
            }
        }
    }

    /// Returns a line about it.
    pub fn shown(&self) -> String {
        match self {
            Self::InUse { target } => format!("{target}: in the toolchain in use"),
            Self::Distro {
                target,
                compiler,
                sysroot,
            } => format!(
                "{target}: the distribution's rustc {}, library in {}",
                compiler.version.release,
                paths::shown(sysroot)
            ),
        }
    }
}

/// The user's own `RUSTFLAGS`, which setting the encoded form would hide.
fn inherited_flags() -> Vec<String> {
    if let Ok(encoded) = env::var("CARGO_ENCODED_RUSTFLAGS") {
        return encoded
            .split('\x1f')
            .filter(|flag| !flag.is_empty())
            .map(str::to_owned)
            .collect();
    }
    let plain = env::var("RUSTFLAGS").unwrap_or_default();
    plain.split_whitespace().map(str::to_owned).collect()
}
