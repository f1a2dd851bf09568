//! Cycles, estimated: every instruction that a firmware executes, as QEMU lists it, at what the core's manual says it
//! takes.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::thread;

use anyhow::{Context, Result, bail};
use firmware_build::machine::Machine;

use crate::firmware;
use crate::progress;

/// Table of the cycles that instructions take, all memory without wait states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    /// Arm 100166 (Cortex-M4 manual), table 3-1: loads and stores 2, of which one is saved where they follow each
    /// other; `n` registers 1 + n; a taken branch 1 + P, P = 1 to 3, taken as 2; a division 2 to 12, taken as 12.
    M4,
    /// Arm DDI 0484C (Cortex-M0+ manual), table 3.1, with the single-cycle multiplier: loads and stores 2; `n`
    /// registers 1 + n; a taken branch 2, a call 3, a return from the stack 3 + n.
    M0Plus,
    /// lowRISC's documentation of Ibex, with the single-cycle multiplier, without branch target ALU: loads and stores
    /// 2, a taken branch 3, a jump 2, a division 37.
    Ibex,
}

impl Timing {
    /// Returns the published timing of a core; Arm publishes no such table for Cortex-M33, and none of single
    /// instructions for Cortex-M55.
    pub fn known(machine: &Machine) -> Option<Self> {
        match machine.core {
            "Cortex-M4F" => Some(Self::M4),
            "Cortex-M0+" => Some(Self::M0Plus),
            "RV32IMC" => Some(Self::Ibex),
            _ => None,
        }
    }

    fn cycles(self, kind: InstructionKind, before: InstructionKind, taken: bool) -> u64 {
        match (self, kind) {
            (_, InstructionKind::Plain) => 1,
            (Self::M4, InstructionKind::Memory) => 2 - u64::from(before == InstructionKind::Memory),
            (_, InstructionKind::Memory) => 2,
            (_, InstructionKind::Several(n)) => 1 + n + if taken { 2 } else { 0 },
            (Self::M4, InstructionKind::Branch | InstructionKind::Jump | InstructionKind::Call) => {
                1 + if taken { 2 } else { 0 }
            }
            (Self::M0Plus, InstructionKind::Branch | InstructionKind::Jump) => 1 + u64::from(taken),
            (Self::M0Plus, InstructionKind::Call) => 3,
            (Self::Ibex, InstructionKind::Branch) => 1 + if taken { 2 } else { 0 },
            (Self::Ibex, InstructionKind::Jump | InstructionKind::Call) => 2,
            (Self::Ibex, InstructionKind::Division) => 37,
            (_, InstructionKind::Division) => 12,
        }
    }
}

/// Instructions by their cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InstructionKind {
    Plain,
    /// One register from or to memory.
    Memory,
    /// Several registers, this number.
    Several(u64),
    Branch,
    Jump,
    Call,
    Division,
}

impl InstructionKind {
    /// From a line of QEMU's listing: `ldm r3!, {r4, r5, r6, r7}`.
    fn parse(text: &str) -> Self {
        let (name, operands) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let name = name
            .trim_end_matches(".w")
            .trim_end_matches(".n")
            .trim_start_matches("c.");
        let listed = || match operands.split_once('{') {
            Some((_, list)) => list.split(',').count() as u64,
            None => 1,
        };
        match name {
            "push" | "pop" => Self::Several(listed()),
            "ldrd" | "strd" => Self::Several(2),
            _ if name.starts_with("ldm") || name.starts_with("stm") => Self::Several(listed()),
            _ if name.starts_with("ldr") || name.starts_with("str") => Self::Memory,
            "lw" | "lh" | "lb" | "lhu" | "lbu" | "lwsp" | "sw" | "sh" | "sb" | "swsp" => Self::Memory,
            "sdiv" | "udiv" | "div" | "divu" | "rem" | "remu" => Self::Division,
            "bl" | "blx" => Self::Call,
            "bx" | "j" | "jr" | "jal" | "jalr" | "ret" => Self::Jump,
            "b" | "cbz" | "cbnz" | "tbb" | "tbh" => Self::Branch,
            "beqz" | "bnez" | "blez" | "bgez" | "bltz" | "bgtz" | "bltu" | "bgeu" | "bgtu" | "bleu" => Self::Branch,
            "beq" | "bne" | "bhs" | "blo" | "bmi" | "bpl" | "bvs" | "bvc" | "bhi" | "bls" | "bge" | "blt" | "bgt"
            | "ble" => Self::Branch,
            _ => Self::Plain,
        }
    }
}

/// A run of instructions that QEMU translated as one.
#[derive(Debug, Default)]
struct Block {
    kinds: Vec<InstructionKind>,
    /// The address after the last.
    end: u64,
}

/// The cycles of each stretch between two calls of the firmware's `mark`, in order, less what marking takes. The first
/// of all is the timer's own measurement of nothing and is left out.
pub fn stretches(machine: &Machine, elf: &std::path::Path, timing: Timing) -> Result<Vec<u64>> {
    let mut qemu = firmware::qemu(machine, elf, &["-d", "in_asm,exec,nochain"]);
    qemu.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut guest = qemu.spawn().with_context(|| format!("cannot start {}", machine.qemu))?;
    // What the firmware prints is read so that it does not have to wait.
    let printed = guest.stdout.take().context("QEMU has no standard output")?;
    let reader = thread::spawn(move || BufReader::new(printed).read_to_end(&mut Vec::new()));
    let log = guest.stderr.take().context("QEMU has no standard error")?;
    let title = format!("following every instruction on {}", firmware::named(machine));
    let found = progress::during(&title, || walk(log, timing));
    let status = guest.wait().context("cannot wait for QEMU")?;
    let _ = reader.join();
    if !status.success() {
        bail!("the firmware failed on {}", firmware::named(machine));
    }
    found.with_context(|| format!("cannot follow the firmware on {}", firmware::named(machine)))
}

/// Follows a log of `-d in_asm,exec,nochain`.
fn walk(log: impl Read, timing: Timing) -> Result<Vec<u64>> {
    let mut blocks: HashMap<u64, Block> = HashMap::new();
    let mut new: Option<u64> = None;
    let mut current: Option<u64> = None;
    let mut stretches = Vec::new();
    let mut open: Option<u64> = None;
    for line in BufReader::new(log).lines() {
        let line = line.context("cannot read QEMU's log")?;
        if line.starts_with("IN:") {
            new = None;
        } else if let Some(listed) = line.strip_prefix("0x") {
            let (address, rest) = listed.split_once(':').context("a listed line has an address")?;
            let address = u64::from_str_radix(address, 16).context("an address is hexadecimal")?;
            let start = *new.get_or_insert(address);
            let (bytes, text) = encoding(rest);
            if text.is_empty() {
                bail!("this QEMU lists no instructions: it was built without a disassembler");
            }
            let block = blocks.entry(start).or_default();
            if start == address {
                *block = Block::default();
            }
            block.kinds.push(InstructionKind::parse(text));
            block.end = address + bytes;
        } else if let Some(executed) = line.strip_prefix("Trace ") {
            let (address, symbol) = executed_at(executed).context("a traced line has an address")?;
            if let (Some(cycles), Some(block)) = (&mut open, current.and_then(|start| blocks.get(&start))) {
                *cycles += cost(block, timing, address);
            }
            current = Some(address);
            if symbol.contains("5bench4mark") {
                match open.take() {
                    None => open = Some(0),
                    Some(cycles) => stretches.push(cycles),
                }
            }
        }
    }
    // The first is the timer's own measurement of nothing.
    let mut stretches = stretches.into_iter();
    let nothing: u64 = stretches.next().context("nothing was marked in QEMU's log")?;
    Ok(stretches.map(|cycles| cycles.saturating_sub(nothing)).collect())
}

/// The cycles of a block after which the core went on at `next`.
fn cost(block: &Block, timing: Timing, next: u64) -> u64 {
    let taken = next != block.end;
    let mut before = InstructionKind::Plain;
    let mut sum = 0;
    for (index, &kind) in block.kinds.iter().enumerate() {
        let last = index + 1 == block.kinds.len();
        sum += timing.cycles(kind, before, last && taken);
        before = kind;
    }
    sum
}

/// Length and text of `  f007 f82d  bl  #0x745e` or `  00000297  auipc t0,0`.
fn encoding(listed: &str) -> (u64, &str) {
    let mut rest = listed.trim_start();
    let mut digits = 0;
    while let Some((word, after)) = rest.split_once(' ') {
        if !(word.len() >= 4 && word.len() <= 8 && word.bytes().all(|b| b.is_ascii_hexdigit())) || digits >= 8 {
            break;
        }
        digits += word.len() as u64;
        rest = after.trim_start();
    }
    (digits / 2, rest)
}

/// Address and symbol of `0: 0x7f2a28000100 [00800408/00000400/00000110/ff000200] Reset`.
fn executed_at(line: &str) -> Option<(u64, &str)> {
    let (_, fields) = line.split_once('[')?;
    let (fields, symbol) = fields.split_once(']')?;
    let address = u64::from_str_radix(fields.split('/').nth(1)?, 16).ok()?;
    Some((address, symbol.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_instructions_are_known() {
        for (text, kind) in [
            ("ldm      r3!, {r4, r5, r6, r7}", InstructionKind::Several(4)),
            ("ldrd     r8, sb, [r0], #8", InstructionKind::Several(2)),
            ("ldr.w    r8, [r0], #4", InstructionKind::Memory),
            ("smlad    fp, sl, r4, fp", InstructionKind::Plain),
            ("bls      #0x412", InstructionKind::Branch),
            ("bl       #0x745e", InstructionKind::Call),
            ("lbu             a5,0(a0)", InstructionKind::Memory),
            ("c.lwsp          ra,12(sp)", InstructionKind::Memory),
            ("bic.w    r0, r0, #1", InstructionKind::Plain),
        ] {
            assert_eq!(InstructionKind::parse(text), kind, "{text}");
        }
        assert_eq!(encoding("  f007 f82d  bl       #0x745e"), (4, "bl       #0x745e"));
        assert_eq!(encoding("  bd80       pop      {r7, pc}"), (2, "pop      {r7, pc}"));
        assert_eq!(encoding("  00000297  auipc t0,0"), (4, "auipc t0,0"));
    }

    #[test]
    fn a_stretch_is_what_lies_between_two_marks() {
        let listing = "IN: _ZN5bench4mark17hE\n0x10:  4770       bx       lr\n\n";
        let mark = "Trace 0: 0x7f [00/00000010/00/00] _ZN5bench4mark17hE\n";
        let work = "IN: work\n0x20:  cb0f       ldm      r3!, {r0, r1, r2, r3}\n0x22:  3901       subs     r1, #1\n\
            0x24:  d1fc       bne      #0x20\n\n";
        let executed = "Trace 0: 0x7f [00/00000020/00/00] work\n";
        // Nothing first; then twice around a loop that is left by a jump.
        let log = [listing, mark, mark, mark, work, executed, executed, mark].concat();
        assert_eq!(walk(log.as_bytes(), Timing::M4).unwrap(), [2 * (5 + 1 + 3)]);
        assert!(walk("".as_bytes(), Timing::M4).is_err());
    }
}
