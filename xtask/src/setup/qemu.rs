//! The emulator.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::boards::Machine;
use crate::process;
use crate::setup::apt;

/// Installs the machine's QEMU where it is missing and apt can; otherwise says how to get it.
pub fn ensure(machine: &Machine) -> Result<()> {
    let there = || process::find_program(machine.qemu).is_some();
    if there() {
        return Ok(());
    }
    if apt::usable() {
        let _ = apt::update().map_err(|error| eprintln!("{error:#}; going on with the old list"));
        apt::install(&[machine.qemu_package.to_owned()]).with_context(|| format!("{} is missing", machine.qemu))?;
        if there() {
            return Ok(());
        }
    }
    bail!(
        "{} is missing: install it with `apt-get install {}` (Debian, Ubuntu), `dnf install {}` \
         (Fedora), `pacman -S qemu-full` (Arch), `brew install qemu` (macOS) or `winget install \
         SoftwareFreedomConservancy.QEMU` (Windows), and see that it is in PATH",
        machine.qemu,
        machine.qemu_package,
        machine.qemu
    );
}

/// What the emulator says it is.
pub fn version(machine: &Machine) -> Result<String> {
    let text = process::capture(Command::new(machine.qemu).arg("--version"))?;
    Ok(text.lines().next().unwrap_or("of unknown version").to_owned())
}
