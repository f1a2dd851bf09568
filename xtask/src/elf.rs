//! As much of an ELF file as tells what is in a firmware: 32 bits, little-endian.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::paths;

/// What a firmware is made of.
#[derive(Debug, Default)]
pub struct Elf {
    /// Names of all symbols, as the compiler mangled them.
    pub symbols: Vec<String>,
    /// Bytes of machine code.
    pub code: u32,
    /// Bytes of constants: tables, and the model.
    pub constants: u32,
    /// Bytes of memory that the program has for itself, without the stack.
    pub memory: u32,
}

const EXECUTABLE: u32 = 4;
const WRITABLE: u32 = 1;
const ALLOCATED: u32 = 2;
const SYMBOLS: u32 = 2;

impl Elf {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", paths::shown(path)))?;
        Self::parse(&bytes).with_context(|| format!("{} is no firmware", paths::shown(path)))
    }

    fn parse(bytes: &[u8]) -> Result<Self> {
        if !bytes.starts_with(b"\x7FELF\x01\x01") {
            bail!("it is no little-endian ELF file of 32 bits");
        }
        let table = word(bytes, 0x20)? as usize;
        let (size, count) = (half(bytes, 0x2E)? as usize, half(bytes, 0x30)? as usize);
        let section = |index: usize| Section::read(bytes, table + index * size);
        let mut elf = Self::default();
        for index in 0..count {
            let s = section(index)?;
            if s.flags & ALLOCATED != 0 {
                if s.flags & EXECUTABLE != 0 {
                    elf.code += s.size;
                } else if s.flags & WRITABLE != 0 {
                    elf.memory += s.size;
                } else {
                    elf.constants += s.size;
                }
            }
            if s.kind == SYMBOLS {
                let names = section(s.link as usize)?;
                for symbol in 0..s.size / 16 {
                    let name = word(bytes, (s.offset + 16 * symbol) as usize)?;
                    elf.symbols.push(text(bytes, (names.offset + name) as usize));
                }
            }
        }
        Ok(elf)
    }
}

struct Section {
    kind: u32,
    flags: u32,
    offset: u32,
    size: u32,
    link: u32,
}

impl Section {
    fn read(bytes: &[u8], at: usize) -> Result<Self> {
        Ok(Self {
            kind: word(bytes, at + 4)?,
            flags: word(bytes, at + 8)?,
            offset: word(bytes, at + 16)?,
            size: word(bytes, at + 20)?,
            link: word(bytes, at + 24)?,
        })
    }
}

fn word(bytes: &[u8], at: usize) -> Result<u32> {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk());
    Ok(u32::from_le_bytes(*found.context("it ends too early")?))
}

fn half(bytes: &[u8], at: usize) -> Result<u16> {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk());
    Ok(u16::from_le_bytes(*found.context("it ends too early")?))
}

fn text(bytes: &[u8], at: usize) -> String {
    let rest = bytes.get(at..).unwrap_or_default();
    let name = rest.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_firmware_is_refused() {
        assert!(Elf::parse(b"not an ELF file").is_err());
        assert!(Elf::parse(b"\x7FELF\x01\x01\x01").is_err());
    }
}
