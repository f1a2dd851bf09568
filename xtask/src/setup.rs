//! Set-up: the bare-metal target's library and a linker, and QEMU.
//!
//! The environment variable `ANCESTRAL_TARGETS` says where the target comes from. `distro`: the distribution's own
//! compiler, beside the user's, even where the toolchain in use has the target. `rustup`: the toolchain in use, to which a
//! missing target is added. Unset: the toolchain in use where it has the target; else rustup, unless the user has told
//! it not to download (`RUSTUP_AUTO_INSTALL=0`); else the distribution. No toolchain is ever installed, updated or
//! switched.

mod apt;
mod distro;
pub mod mpi;
mod qemu;
mod rustc;
mod rustup;

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::boards::{MACHINES, Machine};
use crate::paths;
use crate::process;

/// The environment variable that chooses the [`Route`].
const ROUTE: &str = "ANCESTRAL_TARGETS";

/// Where a missing target comes from.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Route {
    Any,
    Rustup,
    Distro,
}

impl Route {
    fn from_environment() -> Result<Self> {
        match env::var_os(ROUTE) {
            None => Ok(Self::Any),
            Some(text) => Self::parse(&text.to_string_lossy()),
        }
    }

    /// What is done, given whether the toolchain in use has the target and whether rustup may download it. `Any` is left
    /// where there is nothing to do.
    fn settled(self, in_use: bool, may_download: bool) -> Self {
        match self {
            // Asked for by name: it must not pass for another reason on a machine that happens to have the target.
            Self::Distro => Self::Distro,
            Self::Any | Self::Rustup if in_use => Self::Any,
            Self::Any if !may_download => Self::Distro,
            Self::Any | Self::Rustup => Self::Rustup,
        }
    }

    fn parse(text: &str) -> Result<Self> {
        match text {
            "" => Ok(Self::Any),
            "rustup" => Ok(Self::Rustup),
            "distro" => Ok(Self::Distro),
            other => {
                bail!("{ROUTE} is {other:?}; set it to `rustup` or `distro`, or leave it unset for whichever works")
            }
        }
    }
}

/// What builds for a bare-metal target.
#[derive(Debug)]
pub enum Toolchain {
    /// The toolchain in use has the target.
    InUse { target: &'static str },
    /// The distribution's compiler has it, in a sysroot of this repository's own.
    Distro {
        target: &'static str,
        compiler: distro::Compiler,
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

    fn shown(&self) -> String {
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

/// `cargo xtask setup`: everything that every machine needs.
pub fn everything() -> Result<()> {
    for machine in MACHINES {
        let toolchain = ensure(machine)?;
        println!("{} ({}): {}", machine.name, machine.core, toolchain.shown());
        println!("{}: {}", machine.qemu, qemu::version(machine)?);
    }
    Ok(())
}

/// Everything that one machine needs; says nothing and takes no time when it is there.
pub fn ensure(machine: &Machine) -> Result<Toolchain> {
    let toolchain = ensure_target(machine.target)?;
    qemu::ensure(machine)?;
    Ok(toolchain)
}

fn ensure_target(target: &'static str) -> Result<Toolchain> {
    let route = Route::from_environment()?.settled(rustc::in_use_has(target), rustup::may_download());
    match route {
        Route::Any => Ok(Toolchain::InUse { target }),
        Route::Rustup => {
            rustup::add_target(target)?;
            Ok(Toolchain::InUse { target })
        }
        Route::Distro => {
            let compiler = distro::Compiler::ensure()?;
            let sysroot = compiler.ensure_sysroot(target)?;
            Ok(Toolchain::Distro {
                target,
                compiler,
                sysroot,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_route_is_one_of_two() {
        assert_eq!(Route::parse("").unwrap(), Route::Any);
        assert_eq!(Route::parse("rustup").unwrap(), Route::Rustup);
        assert_eq!(Route::parse("distro").unwrap(), Route::Distro);
        let message = Route::parse("brew").unwrap_err().to_string();
        assert!(message.contains("ANCESTRAL_TARGETS is \"brew\""), "{message}");
    }

    #[test]
    fn rustup_downloads_only_where_it_may() {
        // By name, the distribution's compiler is taken even where the target is there.
        assert_eq!(Route::Distro.settled(true, true), Route::Distro);
        assert_eq!(Route::Any.settled(true, false), Route::Any);
        assert_eq!(Route::Any.settled(false, false), Route::Distro);
        assert_eq!(Route::Any.settled(false, true), Route::Rustup);
        assert_eq!(Route::Rustup.settled(false, false), Route::Rustup);
        assert_eq!(Route::Rustup.settled(true, false), Route::Any);
    }
}
