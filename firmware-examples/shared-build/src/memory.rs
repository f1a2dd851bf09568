//! Memory maps: the linker's `memory.x`, written for a machine and read from a board's folder.

use std::fmt;

/// Flash and RAM of a microcontroller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Code, constants and the model.
    pub flash: Region,
    /// Variables and the stack.
    pub ram: Region,
}

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// First address.
    pub origin: u32,
    /// Number of bytes.
    pub length: u32,
}

impl Region {
    /// Returns whether `length` bytes from `address` on lie inside.
    pub fn contains(&self, address: u32, length: u32) -> bool {
        let (first, after) = (u64::from(address), u64::from(address) + u64::from(length));
        let end = u64::from(self.origin) + u64::from(self.length);
        first >= u64::from(self.origin) && after <= end
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:08x}, LENGTH = {}", self.origin, self.length)
    }
}

/// Names that the linker script of `riscv-rt` asks for.
const RISCV_ALIASES: &str = "\
REGION_ALIAS(\"REGION_TEXT\", FLASH);
REGION_ALIAS(\"REGION_RODATA\", FLASH);
REGION_ALIAS(\"REGION_DATA\", RAM);
REGION_ALIAS(\"REGION_BSS\", RAM);
REGION_ALIAS(\"REGION_HEAP\", RAM);
REGION_ALIAS(\"REGION_STACK\", RAM);
";

impl Memory {
    /// Returns the text of `memory.x`.
    pub fn script(&self, riscv: bool) -> String {
        let aliases = if riscv { RISCV_ALIASES } else { "" };
        format!(
            "MEMORY\n{{\n  FLASH : ORIGIN = {}\n  RAM : ORIGIN = {}\n}}\n{aliases}",
            self.flash, self.ram
        )
    }

    /// Reads the regions FLASH and RAM of a `memory.x`.
    ///
    /// # Errors
    /// A sentence that names the region that is missing or cannot be read.
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(Self {
            flash: region(text, "FLASH")?,
            ram: region(text, "RAM")?,
        })
    }
}

fn region(text: &str, name: &str) -> Result<Region, String> {
    let text = without_comments(text);
    let line = text
        .lines()
        .map(str::trim)
        .find_map(|line| {
            let rest = line.strip_prefix(name)?.trim_start();
            // Attributes, as in `FLASH (rx) : ORIGIN = …`.
            let rest = match rest.strip_prefix('(') {
                Some(attributes) => attributes.split_once(')')?.1.trim_start(),
                None => rest,
            };
            rest.strip_prefix(':')
        })
        .ok_or_else(|| format!("there is no line `{name} : ORIGIN = …, LENGTH = …`"))?;
    let field = |key: &str| {
        line.split(',')
            .find_map(|part| part.trim().strip_prefix(key)?.trim_start().strip_prefix('='))
            .and_then(number)
            .ok_or_else(|| format!("the region {name} has no {key} that is a number, as 0x20000000 or 128K"))
    };
    Ok(Region {
        origin: field("ORIGIN")?,
        length: field("LENGTH")?,
    })
}

fn without_comments(text: &str) -> String {
    let mut parts = text.split("/*");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        kept.push_str(part.split_once("*/").map_or("", |(_, after)| after));
    }
    kept
}

/// Reads a number as linkers write it: `0x20000000`, `1024`, `128K`, `1M`.
fn number(text: &str) -> Option<u32> {
    let text = text.trim();
    let (digits, unit) = match text.strip_suffix(['K', 'k']) {
        Some(digits) => (digits, 1024),
        None => match text.strip_suffix(['M', 'm']) {
            Some(digits) => (digits, 1024 * 1024),
            None => (text, 1),
        },
    };
    let value = match digits.strip_prefix("0x") {
        Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16).ok()?,
        None => digits.trim().parse().ok()?,
    };
    value.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_map_reads_back() {
        for machine in crate::machine::MACHINES {
            for riscv in [false, true] {
                assert_eq!(Memory::parse(&machine.memory.script(riscv)), Ok(machine.memory));
            }
        }
    }

    #[test]
    fn a_map_as_board_packages_write_it_is_read() {
        let text = "/* STM32F407:\n FLASH : ORIGIN = 0, LENGTH = 1 */\nMEMORY\n{\n  \
            FLASH (rx) : ORIGIN = 0x08000000, LENGTH = 1024K /* one */\n  RAM : ORIGIN = 0x20000000, LENGTH = 128K\n}\n";
        let memory = Memory::parse(text).unwrap();
        assert_eq!((memory.flash.origin, memory.flash.length), (0x0800_0000, 1 << 20));
        assert_eq!((memory.ram.origin, memory.ram.length), (0x2000_0000, 128 << 10));
    }

    #[test]
    fn a_missing_region_or_number_is_named() {
        let message = Memory::parse("FLASH : ORIGIN = 0, LENGTH = 1M").unwrap_err();
        assert!(message.contains("RAM"), "{message}");
        let message = Memory::parse("FLASH : ORIGIN = 0, LENGTH = much\nRAM : ORIGIN = 0, LENGTH = 1").unwrap_err();
        assert!(message.contains("FLASH") && message.contains("LENGTH"), "{message}");
        assert!(Memory::parse("FLASH : ORIGIN = 0, LENGTH = 8192M\nRAM : ORIGIN = 0, LENGTH = 1").is_err());
    }

    #[test]
    fn a_region_ends_where_it_ends() {
        let region = Region {
            origin: 0x1000,
            length: 0x100,
        };
        assert!(region.contains(0x1000, 0x100) && region.contains(0x10FF, 1));
        assert!(!region.contains(0x10FF, 2) && !region.contains(0xFFF, 1) && !region.contains(u32::MAX, 1));
    }
}
