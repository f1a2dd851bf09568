//! The boards that firmware is built for. To add one, add a row and a folder of its name.
//!
//! A board is what a person flashes. A machine is a core that QEMU emulates; the table of machines, with their memory,
//! is `firmware-examples/shared-build/src/machine.rs`. A board with a machine is run in every test. One without is
//! built, and its ELF file is [checked](crate::inspect).

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use firmware_build::machine::Machine;
use firmware_build::memory::Memory;

use crate::paths;

/// A firmware that a person would flash.
#[derive(Debug)]
pub struct Board {
    /// Folder in `firmware-examples/`, and name of the package and its binary.
    pub name: &'static str,
    /// Name of the core.
    pub core: &'static str,
    /// Target triple of the compiler.
    pub target: &'static str,
    /// Features of the package that are built too, each by itself.
    pub variants: &'static [&'static str],
    /// Name of the machine that stands for the board in tests; without one, the board's folder has its `memory.x`.
    pub emulator: Option<&'static str>,
}

/// Every board. The first is the default, and has an emulator.
pub const BOARDS: &[Board] = &[Board {
    name: "qemu-m4",
    core: "Cortex-M4F",
    target: "thumbv7em-none-eabihf",
    variants: &["defmt"],
    emulator: Some("mps2-an386"),
}];

impl Board {
    /// Returns the board of that name.
    pub fn find(name: &str) -> Result<&'static Board> {
        BOARDS.iter().find(|board| board.name == name).ok_or_else(|| {
            let names: Vec<_> = BOARDS.iter().map(|board| board.name).collect();
            anyhow!("there is no board {name:?}; choose one of: {}", names.join(", "))
        })
    }

    /// Returns the machine that emulates it.
    pub fn machine(&self) -> Option<&'static Machine> {
        Machine::find(self.emulator?).ok()
    }

    /// Returns the machine that emulates it, or an error that says what can be done with a board without one.
    pub fn emulated(&self) -> Result<&'static Machine> {
        self.machine().ok_or_else(|| {
            anyhow!(
                "no emulator runs {}: build it with `cargo build --release` in {} and flash it",
                self.name,
                paths::shown(&self.folder())
            )
        })
    }

    /// Returns its memory: that of its machine, or of the `memory.x` in its folder.
    pub fn memory(&self) -> Result<Memory> {
        if let Some(machine) = self.machine() {
            return Ok(machine.memory);
        }
        let path = self.folder().join("memory.x");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", paths::shown(&path)))?;
        Memory::parse(&text).map_err(|sentence| anyhow!("{}: {sentence}", paths::shown(&path)))
    }

    /// Returns the folder of its firmware.
    pub fn folder(&self) -> PathBuf {
        paths::firmware(self.name)
    }

    /// Returns the file of what the firmware prints with the default model, count and seed.
    pub fn golden(&self) -> PathBuf {
        self.folder().join(format!("{}.out", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_board_is_answered_with_the_known_ones() {
        let message = Board::find("qemu-m99").unwrap_err().to_string();
        assert!(message.contains("qemu-m99") && message.contains("qemu-m4"), "{message}");
    }

    #[test]
    fn every_board_is_complete() {
        for board in BOARDS {
            assert!(board.folder().join("Cargo.toml").is_file(), "{}", board.name);
            board.memory().unwrap();
            if let Some(name) = board.emulator {
                let machine = Machine::find(name).unwrap();
                assert_eq!(
                    (machine.target, machine.core),
                    (board.target, board.core),
                    "{}",
                    board.name
                );
            }
        }
        assert!(BOARDS[0].machine().is_some());
    }

    #[test]
    fn a_board_without_an_emulator_says_what_can_be_done() {
        let board = Board {
            emulator: None,
            ..BOARDS[0]
        };
        let message = board.emulated().unwrap_err().to_string();
        assert!(message.contains("flash it"), "{message}");
        let message = format!("{:#}", board.memory().unwrap_err());
        assert!(message.contains("firmware-examples/qemu-m4/memory.x"), "{message}");
    }
}
