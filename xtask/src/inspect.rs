//! Static checks of a firmware's ELF file: everything that can be known of it without running it.

use std::path::Path;

use anyhow::{Context, Result, bail};
use firmware_build::memory::{Memory, Region};

use crate::elf::{Elf, Segment};
use crate::paths;

/// RAM that must be left for the stack: a sampler of the digits takes 2 KiB, and drawing 0.4 KiB.
const STACK: u32 = 4096;

/// Symbols that no firmware may contain: the core has no heap, and a firmware that draws needs none.
const FORBIDDEN: [&str; 4] = ["__rust_alloc", "__rdl_alloc", "__rg_alloc", "malloc"];

/// Checks a firmware and returns a line about its sizes.
pub fn firmware(path: &Path, target: &str, memory: &Memory) -> Result<String> {
    let elf = Elf::read(path)?;
    check(&elf, target, memory)
        .with_context(|| format!("{} cannot run on its board", paths::shown(path)))
        .map(|(flash, ram)| {
            format!(
                "{flash} bytes of {} in flash, {ram} of {} in RAM before the stack",
                memory.flash.length, memory.ram.length
            )
        })
}

/// Returns the bytes in flash and in RAM.
fn check(elf: &Elf, target: &str, memory: &Memory) -> Result<(u32, u32)> {
    let expected = if target.starts_with("riscv") { RISCV } else { ARM };
    if elf.machine != expected {
        bail!(
            "it is code for machine {} and should be for {expected}, as {target} says",
            elf.machine
        );
    }
    let (mut flash, mut ram) = (0, 0);
    for segment in elf.segments.iter().filter(|segment| segment.memory_size > 0) {
        let Segment {
            load_address,
            file_size,
            address,
            memory_size,
            ..
        } = *segment;
        fits("what is loaded", load_address, file_size, &[("FLASH", &memory.flash)])?;
        let regions = [("FLASH", &memory.flash), ("RAM", &memory.ram)];
        fits("what runs", address, memory_size, &regions)?;
        flash += file_size;
        if memory.ram.contains(address, memory_size) {
            ram += memory_size;
        }
    }
    if flash == 0 {
        bail!("nothing in it is loaded");
    }
    if ram > memory.ram.length.saturating_sub(STACK) {
        bail!(
            "it takes {ram} bytes of RAM, which leaves less than {STACK} of {} for the stack",
            memory.ram.length
        );
    }
    // The lowest bit says that the code is Thumb.
    if !memory.flash.contains(elf.entry & !1, 2) || !elf.segments.iter().any(|segment| segment.holds_code(elf.entry)) {
        bail!("its entry point {:#010x} is no code in FLASH", elf.entry);
    }
    if expected == ARM {
        vectors(elf, memory)?;
    }
    if elf.symbols.is_empty() {
        bail!("it has no symbols to look at");
    }
    let is_forbidden = |symbol: &&String| FORBIDDEN.iter().any(|name| symbol.contains(name));
    if let Some(symbol) = elf.symbols.iter().find(is_forbidden) {
        bail!("it contains {symbol}: a firmware may not allocate");
    }
    Ok((flash, ram))
}

/// Numbers of the architectures in an ELF header.
const ARM: u16 = 40;
const RISCV: u16 = 243;

/// Checks the first two words of the vector table of a Cortex-M.
fn vectors(elf: &Elf, memory: &Memory) -> Result<()> {
    let words = |index: u32| elf.word(memory.flash.origin + 4 * index);
    let (Some(stack), Some(reset)) = (words(0), words(1)) else {
        bail!("there is no vector table at the start of FLASH");
    };
    // A full descending stack starts one past the last byte.
    if stack % 8 != 0 || stack == 0 || !memory.ram.contains(stack - 8, 8) {
        bail!("its stack starts at {stack:#010x}, which is not in RAM");
    }
    if reset & 1 == 0 || !memory.flash.contains(reset & !1, 2) {
        bail!("its reset vector is {reset:#010x}, which is no Thumb code in FLASH");
    }
    Ok(())
}

fn fits(part: &str, address: u32, length: u32, regions: &[(&str, &Region)]) -> Result<()> {
    if length == 0 || regions.iter().any(|(_, region)| region.contains(address, length)) {
        return Ok(());
    }
    let names: Vec<_> = regions.iter().map(|(name, _)| *name).collect();
    bail!(
        "{part}, {length} bytes from {address:#010x} on, does not fit into {}",
        names.join(" or ")
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: &str = "thumbv7em-none-eabihf";
    const MEMORY: Memory = Memory {
        flash: Region {
            origin: 0x0800_0000,
            length: 0x1000,
        },
        ram: Region {
            origin: 0x2000_0000,
            length: 0x4000,
        },
    };

    /// A firmware as a linker would leave it: vectors and code in flash, 256 bytes of variables.
    fn firmware() -> Elf {
        let mut code = vec![0; 0x100];
        code[..4].copy_from_slice(&0x2000_4000u32.to_le_bytes());
        code[4..8].copy_from_slice(&0x0800_0041u32.to_le_bytes());
        Elf {
            machine: ARM,
            entry: 0x0800_0041,
            segments: vec![
                Segment {
                    address: 0x0800_0000,
                    load_address: 0x0800_0000,
                    file_size: 0x100,
                    memory_size: 0x100,
                    executable: true,
                    bytes: code,
                },
                Segment {
                    address: 0x2000_0000,
                    load_address: 0x0800_0100,
                    file_size: 0x10,
                    memory_size: 0x100,
                    executable: false,
                    bytes: vec![0; 0x10],
                },
            ],
            symbols: vec!["main".to_owned()],
            ..Elf::default()
        }
    }

    fn complaint(change: impl FnOnce(&mut Elf)) -> String {
        let mut elf = firmware();
        change(&mut elf);
        check(&elf, TARGET, &MEMORY).unwrap_err().to_string()
    }

    #[test]
    fn a_firmware_that_fits_is_measured() {
        assert_eq!(check(&firmware(), TARGET, &MEMORY).unwrap(), (0x110, 0x100));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let message = complaint(|elf| elf.segments[0].file_size = 0x1001);
        assert!(
            message.contains("4097 bytes from 0x08000000") && message.contains("FLASH"),
            "{message}"
        );
        let message = complaint(|elf| elf.segments[1].address = 0x1000_0000);
        assert!(message.contains("FLASH or RAM"), "{message}");
        let message = complaint(|elf| elf.segments[1].memory_size = 0x3001);
        assert!(message.contains("stack"), "{message}");
        assert!(complaint(|elf| elf.segments.clear()).contains("nothing"));
    }

    #[test]
    fn a_wrong_start_is_named() {
        assert!(complaint(|elf| elf.entry = 0x2000_0001).contains("entry point 0x20000001"));
        assert!(complaint(|elf| elf.entry = 0x0800_0801).contains("entry point"));
        let patched = |index: usize, word: u32| {
            complaint(|elf| elf.segments[0].bytes[4 * index..][..4].copy_from_slice(&word.to_le_bytes()))
        };
        assert!(patched(0, 0x2000_8000).contains("stack starts at 0x20008000"));
        assert!(patched(1, 0x0800_0040).contains("reset vector"));
        assert!(complaint(|elf| elf.segments[0].bytes.clear()).contains("vector table"));
    }

    #[test]
    fn a_wrong_core_or_an_allocator_is_named() {
        assert!(complaint(|elf| elf.machine = RISCV).contains("machine 243"));
        let message = complaint(|elf| elf.symbols.push("__rust_alloc_zeroed".to_owned()));
        assert!(message.contains("__rust_alloc_zeroed"), "{message}");
        assert!(complaint(|elf| elf.symbols.clear()).contains("no symbols"));
    }
}
