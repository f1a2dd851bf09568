//! The boards that firmware is built for. To add one, add a row and a folder of its name.

use std::path::PathBuf;

use anyhow::{Result, anyhow};

use crate::paths;

/// One emulated board: what to build for and what to run it in.
#[derive(Debug)]
pub struct Board {
    /// Folder in `firmware-examples/`, and name of the package and its binary.
    pub name: &'static str,
    /// Target triple of the compiler.
    pub target: &'static str,
    /// QEMU's program for this architecture.
    pub qemu: &'static str,
    /// The package of that program in Debian and Ubuntu.
    pub qemu_package: &'static str,
    /// What makes QEMU this board.
    pub qemu_args: &'static [&'static str],
}

/// Every board. The first is the default.
pub const BOARDS: &[Board] = &[Board {
    name: "qemu-m4",
    target: "thumbv7em-none-eabihf",
    qemu: "qemu-system-arm",
    qemu_package: "qemu-system-arm",
    qemu_args: &["-cpu", "cortex-m4", "-machine", "mps2-an386"],
}];

impl Board {
    /// The board of that name.
    pub fn find(name: &str) -> Result<&'static Board> {
        BOARDS.iter().find(|board| board.name == name).ok_or_else(|| {
            let names: Vec<_> = BOARDS.iter().map(|board| board.name).collect();
            anyhow!("there is no board {name:?}; choose one of: {}", names.join(", "))
        })
    }

    /// The folder of its firmware.
    pub fn folder(&self) -> PathBuf {
        paths::root().join("firmware-examples").join(self.name)
    }

    /// What the firmware prints with the default model, count and seed.
    pub fn golden(&self) -> PathBuf {
        self.folder().join(format!("{}.out", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_board_is_told_which_there_are() {
        let message = Board::find("qemu-m99").unwrap_err().to_string();
        assert!(message.contains("qemu-m99") && message.contains("qemu-m4"), "{message}");
    }

    #[test]
    fn every_board_has_its_folder() {
        for board in BOARDS {
            assert!(board.folder().join("Cargo.toml").is_file(), "{}", board.name);
        }
    }
}
