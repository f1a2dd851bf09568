//! Set-up: the bare-metal targets' library and a linker, QEMU, and the tools of the checks.
//!
//! Everything that a command needs is looked for first, in one pass ([`missing`]). Then it is installed in one go, or
//! one command is printed that installs it; nothing is built before.
//!
//! The environment variable `ANCESTRAL_TARGETS` says where the target comes from. `distro`: the distribution's own
//! compiler, beside the user's, even where the toolchain in use has the target. `rustup`: the toolchain in use, to
//! which a missing target is added. Unset: the toolchain in use where it has the target; else rustup, unless the user
//! has told it not to download (`RUSTUP_AUTO_INSTALL=0`); else the distribution. No toolchain is ever installed,
//! updated or switched.

mod apt;
mod beside;
mod distro;
mod missing;
mod mpi;
mod needs;
mod qemu;
mod route;
mod rustc;
mod rustup;
mod simulate;
mod toolchain;

use anyhow::Result;
use firmware_build::machine::{MACHINES, Machine};

use crate::boards::{BOARDS, Board};

pub use mpi::available as mpi_available;
pub use needs::Needs;
pub use qemu::command as qemu_command;
pub use toolchain::Toolchain;

/// `cargo xtask setup`: everything that boards, machines and checks need.
pub fn everything() -> Result<()> {
    provide(&Needs::of_everything().and_checks())?;
    report()
}

/// Makes the toolchains of all targets and says what builds and what emulates.
pub fn report() -> Result<()> {
    for board in BOARDS.iter().filter(|board| board.machine().is_none()) {
        let toolchain = toolchain::for_target(board.target)?;
        println!("{} ({}): {}", board.name, board.core, toolchain.shown());
    }
    for machine in MACHINES {
        let toolchain = toolchain::for_target(machine.target)?;
        println!("{} ({}): {}", machine.name, machine.core, toolchain.shown());
        println!("{}: {}", machine.qemu, qemu::version(machine)?);
    }
    Ok(())
}

/// Finds everything that is missing and installs it, or fails with the command that does. Says nothing where nothing is
/// missing.
pub fn provide(needs: &Needs) -> Result<()> {
    missing::provide(needs)
}

/// Provides what one machine needs and returns its compiler.
pub fn ensure(machine: &'static Machine) -> Result<Toolchain> {
    provide(&Needs::of_machine(machine))?;
    toolchain::for_target(machine.target)
}

/// Provides what one board needs and returns its compiler.
pub fn ensure_board(board: &Board) -> Result<Toolchain> {
    provide(&Needs::of_board(board))?;
    toolchain::for_target(board.target)
}
