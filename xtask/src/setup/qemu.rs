//! The emulator.

use std::process::Command;

use anyhow::Result;
use firmware_build::machine::Machine;

use crate::process;
use crate::setup::beside;

/// Returns whether the machine's QEMU is here.
pub fn present(machine: &Machine) -> bool {
    process::find_program(machine.qemu).is_some() || beside::find_program(machine.qemu).is_some()
}

/// Returns a command that starts the machine's QEMU, without arguments.
pub fn command(machine: &Machine) -> Command {
    match (process::find_program(machine.qemu), beside::find_program(machine.qemu)) {
        (None, Some(program)) => beside::command(&program),
        _ => Command::new(machine.qemu),
    }
}

/// Returns the line with which the emulator introduces itself.
pub fn version(machine: &Machine) -> Result<String> {
    let text = process::capture(command(machine).arg("--version"))?;
    Ok(text.lines().next().unwrap_or("of unknown version").to_owned())
}

/// Advice where there is no apt.
pub const ADVICE: &str = "QEMU: `dnf install qemu-system-arm qemu-system-riscv` (Fedora), `pacman -S qemu-full` (Arch), \
    `brew install qemu` (macOS) or `winget install SoftwareFreedomConservancy.QEMU` (Windows), and see that it is in PATH";
