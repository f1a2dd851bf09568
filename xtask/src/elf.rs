//! The parts of an ELF file that tell what is in a firmware: 32 bits, little-endian.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::paths;

/// Contents of a firmware.
#[derive(Debug, Default)]
pub struct Elf {
    /// Number of the architecture.
    pub machine: u16,
    /// Address of the first instruction.
    pub entry: u32,
    /// Everything that is loaded.
    pub segments: Vec<Segment>,
    /// Names of all symbols, as the compiler mangled them.
    pub symbols: Vec<String>,
    /// Bytes of machine code.
    pub code: u32,
    /// Bytes of constants: tables, and the model.
    pub constants: u32,
    /// Bytes of memory that the program has for itself, without the stack.
    pub memory: u32,
}

/// A range of memory that the file fills.
#[derive(Debug, Default, Clone)]
pub struct Segment {
    /// Address at which it is used.
    pub address: u32,
    /// Address at which it is flashed.
    pub load_address: u32,
    /// Bytes in the file.
    pub file_size: u32,
    /// Bytes in memory.
    pub memory_size: u32,
    /// True where it holds code.
    pub executable: bool,
    /// Its contents in the file.
    pub bytes: Vec<u8>,
}

impl Segment {
    /// Returns whether there is code at that address.
    pub fn holds_code(&self, address: u32) -> bool {
        self.executable && address >= self.address && address - self.address < self.memory_size
    }
}

/// Type of a segment that is loaded, and the flag of one that is executed.
const LOADED: u32 = 1;
const EXECUTED: u32 = 1;

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
        let (size, count) = (read_u16(bytes, 0x2E)? as usize, read_u16(bytes, 0x30)? as usize);
        let section = |index: usize| Section::read(bytes, table + index * size);
        let mut elf = Self {
            machine: read_u16(bytes, 0x12)?,
            entry: word(bytes, 0x18)?,
            segments: segments(bytes)?,
            ..Self::default()
        };
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

    /// Returns the word that is flashed at that address.
    pub fn word(&self, address: u32) -> Option<u32> {
        self.segments.iter().find_map(|segment| {
            let offset = address.checked_sub(segment.load_address)? as usize;
            word(&segment.bytes, offset).ok()
        })
    }
}

fn segments(bytes: &[u8]) -> Result<Vec<Segment>> {
    let table = word(bytes, 0x1C)? as usize;
    let (size, count) = (read_u16(bytes, 0x2A)? as usize, read_u16(bytes, 0x2C)? as usize);
    let mut segments = Vec::new();
    for index in 0..count {
        let field = |offset: usize| word(bytes, table + index * size + offset);
        if field(0)? != LOADED {
            continue;
        }
        let (offset, file_size) = (field(4)? as usize, field(16)?);
        let contents = bytes.get(offset..).and_then(|rest| rest.get(..file_size as usize));
        segments.push(Segment {
            address: field(8)?,
            load_address: field(12)?,
            file_size,
            memory_size: field(20)?,
            executable: field(24)? & EXECUTED != 0,
            bytes: contents.context("a segment ends too early")?.to_vec(),
        });
    }
    Ok(segments)
}

struct Section {
    kind: u32,
    flags: u32,
    offset: u32,
    size: u32,
    link: u32,
}

impl Section {
    fn read(bytes: &[u8], start: usize) -> Result<Self> {
        Ok(Self {
            kind: word(bytes, start + 4)?,
            flags: word(bytes, start + 8)?,
            offset: word(bytes, start + 16)?,
            size: word(bytes, start + 20)?,
            link: word(bytes, start + 24)?,
        })
    }
}

fn word(bytes: &[u8], at: usize) -> Result<u32> {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk());
    Ok(u32::from_le_bytes(*found.context("it ends too early")?))
}

fn read_u16(bytes: &[u8], at: usize) -> Result<u16> {
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
