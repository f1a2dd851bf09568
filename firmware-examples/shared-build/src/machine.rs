//! The emulated machines. A new one is a row here.

use crate::memory::{Memory, Region};

/// A core that QEMU emulates, with its memory.
#[derive(Debug)]
pub struct Machine {
    /// QEMU's name of the machine.
    pub name: &'static str,
    /// Name of the core.
    pub core: &'static str,
    /// Target triple of the compiler.
    pub target: &'static str,
    /// Kernel that a build for this core must have chosen.
    pub kernel: &'static str,
    /// Cargo features that a firmware needs for this core, because its target does not tell it from others.
    pub features: &'static [&'static str],
    /// QEMU's program for this architecture.
    pub qemu: &'static str,
    /// Package of that program in Debian and Ubuntu.
    pub qemu_package: &'static str,
    /// Arguments with which QEMU emulates this machine.
    pub qemu_args: &'static [&'static str],
    /// Memory of the machine.
    pub memory: Memory,
}

/// Every emulated core.
pub const MACHINES: &[Machine] = &[
    Machine {
        name: "mps2-an386",
        core: "Cortex-M4F",
        target: "thumbv7em-none-eabihf",
        kernel: "dsp",
        memory: memory((0x0000_0000, 4 * MIB), (0x2000_0000, 4 * MIB)),
        qemu_args: &["-cpu", "cortex-m4", "-machine", "mps2-an386"],
        ..ARM
    },
    Machine {
        name: "microbit",
        core: "Cortex-M0",
        target: "thumbv6m-none-eabi",
        kernel: "armv6m",
        memory: memory((0x0000_0000, 256 * KIB), (0x2000_0000, 16 * KIB)),
        qemu_args: &["-machine", "microbit"],
        ..ARM
    },
    Machine {
        name: "mps2-an385",
        core: "Cortex-M3",
        target: "thumbv7m-none-eabi",
        kernel: "portable",
        memory: memory((0x0000_0000, 4 * MIB), (0x2000_0000, 4 * MIB)),
        qemu_args: &["-cpu", "cortex-m3", "-machine", "mps2-an385"],
        ..ARM
    },
    Machine {
        name: "mps2-an505",
        core: "Cortex-M33",
        target: "thumbv8m.main-none-eabihf",
        kernel: "dsp",
        memory: memory((0x1000_0000, 4 * MIB), (0x3800_0000, 4 * MIB)),
        qemu_args: &["-cpu", "cortex-m33", "-machine", "mps2-an505"],
        ..ARM
    },
    Machine {
        name: "mps3-an547",
        core: "Cortex-M55",
        target: "thumbv8m.main-none-eabihf",
        kernel: "helium",
        features: &["helium"],
        memory: memory((0x0000_0000, 512 * KIB), (0x2000_0000, 512 * KIB)),
        qemu_args: &["-cpu", "cortex-m55", "-machine", "mps3-an547"],
        ..ARM
    },
    Machine {
        name: "virt",
        core: "RV32IMC",
        target: "riscv32imc-unknown-none-elf",
        kernel: "rv32im",
        qemu: "qemu-system-riscv32",
        qemu_package: "qemu-system-misc",
        // It has no flash that code runs from: both regions are parts of its RAM.
        memory: memory((0x8000_0000, 4 * MIB), (0x8040_0000, 4 * MIB)),
        qemu_args: &["-machine", "virt", "-bios", "none"],
        ..ARM
    },
];

/// Fields that machines for Arm have in common.
const ARM: Machine = Machine {
    name: "",
    core: "",
    target: "",
    kernel: "portable",
    features: &[],
    qemu: "qemu-system-arm",
    qemu_package: "qemu-system-arm",
    qemu_args: &[],
    memory: memory((0, 0), (0, 0)),
};

const KIB: u32 = 1024;
const MIB: u32 = 1024 * KIB;

const fn memory(flash: (u32, u32), ram: (u32, u32)) -> Memory {
    Memory {
        flash: Region {
            origin: flash.0,
            length: flash.1,
        },
        ram: Region {
            origin: ram.0,
            length: ram.1,
        },
    }
}

impl Machine {
    /// Returns the machine of that name.
    ///
    /// # Errors
    /// A sentence with the names of all machines, where there is none of that name.
    pub fn find(name: &str) -> Result<&'static Self, String> {
        MACHINES.iter().find(|machine| machine.name == name).ok_or_else(|| {
            let names: Vec<_> = MACHINES.iter().map(|machine| machine.name).collect();
            format!("there is no machine {name:?}; choose one of: {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_machine_is_answered_with_the_known_ones() {
        let message = Machine::find("uno").unwrap_err();
        assert!(message.contains("uno") && message.contains("microbit"), "{message}");
    }

    #[test]
    fn names_and_memories_are_complete() {
        for (index, machine) in MACHINES.iter().enumerate() {
            assert!(!machine.name.is_empty() && !machine.core.is_empty() && !machine.target.is_empty());
            assert!(
                machine.memory.flash.length > 0 && machine.memory.ram.length > 0,
                "{}",
                machine.name
            );
            let same_name = MACHINES.iter().position(|other| other.name == machine.name);
            assert_eq!(same_name, Some(index), "{} stands twice", machine.name);
        }
    }
}
