//! The boards that firmware is built for. To add one, add a row and a folder of its name.

use std::path::PathBuf;

use anyhow::{Result, anyhow};

use crate::paths;

/// What builds for a core and what emulates it.
#[derive(Debug)]
pub struct Machine {
    /// What a person calls it: QEMU's name of the machine.
    pub name: &'static str,
    /// The core.
    pub core: &'static str,
    /// Target triple of the compiler.
    pub target: &'static str,
    /// The kernel that the core's build must have chosen.
    pub kernel: &'static str,
    /// Features of the firmware that the core needs: its target does not tell it from others.
    pub features: &'static [&'static str],
    /// QEMU's program for this architecture.
    pub qemu: &'static str,
    /// The package of that program in Debian and Ubuntu.
    pub qemu_package: &'static str,
    /// What makes QEMU this machine.
    pub qemu_args: &'static [&'static str],
}

/// A machine of QEMU's for Arm.
pub const fn arm(
    name: &'static str,
    core: &'static str,
    target: &'static str,
    kernel: &'static str,
    qemu_args: &'static [&'static str],
) -> Machine {
    Machine {
        name,
        core,
        target,
        kernel,
        features: &[],
        qemu: "qemu-system-arm",
        qemu_package: "qemu-system-arm",
        qemu_args,
    }
}

const M4: Machine = arm(
    "mps2-an386",
    "Cortex-M4F",
    "thumbv7em-none-eabihf",
    "dsp",
    &["-cpu", "cortex-m4", "-machine", "mps2-an386"],
);

/// Every core that the number formats are compared on.
pub const MACHINES: &[Machine] = &[
    M4,
    arm(
        "microbit",
        "Cortex-M0",
        "thumbv6m-none-eabi",
        "armv6m",
        &["-machine", "microbit"],
    ),
    arm(
        "mps2-an385",
        "Cortex-M3",
        "thumbv7m-none-eabi",
        "portable",
        &["-cpu", "cortex-m3", "-machine", "mps2-an385"],
    ),
    arm(
        "mps2-an505",
        "Cortex-M33",
        "thumbv8m.main-none-eabihf",
        "dsp",
        &["-cpu", "cortex-m33", "-machine", "mps2-an505"],
    ),
    Machine {
        features: &["--features", "helium"],
        ..arm(
            "mps3-an547",
            "Cortex-M55",
            "thumbv8m.main-none-eabihf",
            "helium",
            &["-cpu", "cortex-m55", "-machine", "mps3-an547"],
        )
    },
    Machine {
        name: "virt",
        core: "RV32IMC",
        target: "riscv32imc-unknown-none-elf",
        kernel: "rv32im",
        features: &[],
        qemu: "qemu-system-riscv32",
        qemu_package: "qemu-system-misc",
        qemu_args: &["-machine", "virt", "-bios", "none"],
    },
];

impl Machine {
    /// The machine of that name.
    pub fn find(name: &str) -> Result<&'static Machine> {
        MACHINES.iter().find(|machine| machine.name == name).ok_or_else(|| {
            let names: Vec<_> = MACHINES.iter().map(|machine| machine.name).collect();
            anyhow!("there is no machine {name:?}; choose one of: {}", names.join(", "))
        })
    }
}

/// A firmware that a person would flash, and the machine that stands for its board.
#[derive(Debug)]
pub struct Board {
    /// Folder in `firmware-examples/`, and name of the package and its binary.
    pub name: &'static str,
    /// What it is built for and run in.
    pub machine: Machine,
}

/// Every board. The first is the default.
pub const BOARDS: &[Board] = &[Board {
    name: "qemu-m4",
    machine: M4,
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
    fn an_unknown_machine_is_told_which_there_are() {
        let message = Machine::find("uno").unwrap_err().to_string();
        assert!(message.contains("uno") && message.contains("microbit"), "{message}");
    }

    #[test]
    fn every_board_has_its_folder() {
        for board in BOARDS {
            assert!(board.folder().join("Cargo.toml").is_file(), "{}", board.name);
        }
    }
}
