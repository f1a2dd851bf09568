//! Instructions and estimated cycles of single layers and of a network of MLPerf Tiny's shape.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use firmware_build::machine::Machine;
use serde_json::json;

use super::cycles::{self, Timing};
use super::firmware_run::{build, run};
use super::subjects::{integer_formats, machines};

/// Instructions per multiply-accumulate of CMSIS-NN 6's `arm_fully_connected_s8` (commit 99f736a, GCC 12.2 -O3; clang
/// for the M55), the whole call, batch 1, at 64×128, 128×128 and 256×256; and of its `arm_fully_connected_s4` at
/// 256×256. Counted in QEMU as everything else here.
fn cmsis(core: &str) -> ([f64; 3], Option<f64>) {
    match core {
        "Cortex-M4F" | "Cortex-M33" => ([2.66, 2.27, 2.07], Some(5.07)),
        "Cortex-M0+" => ([7.57, 6.80, 6.39], Some(8.02)),
        "Cortex-M55" => ([0.344, 0.250, 0.201], None),
        _ => ([5.90, 5.64, 5.47], Some(6.39)),
    }
}

/// One measurement of a layer or of a network.
pub struct LayerCount {
    core: &'static str,
    kernel: &'static str,
    format: String,
    shape: String,
    batch: u32,
    instructions: u64,
    /// Where the core's timings are published.
    cycles: Option<u64>,
}

impl LayerCount {
    fn products(&self) -> u64 {
        let of_shape = match self.shape.split_once('x') {
            Some((rows, columns)) => rows.parse::<u64>().unwrap_or(0) * columns.parse::<u64>().unwrap_or(0),
            None => TINY,
        };
        of_shape * u64::from(self.batch)
    }

    fn each(&self, count: u64) -> f64 {
        count as f64 / self.products() as f64
    }

    /// For `--json`.
    pub fn json(&self) -> serde_json::Value {
        json!({
            "core": self.core,
            "format": self.format,
            "shape": self.shape,
            "batch": self.batch,
            "instructions": self.instructions,
            "per_mac": self.each(self.instructions),
            "cycles": self.cycles,
        })
    }
}

/// Products of the network of MLPerf Tiny's anomaly detection.
const TINY: u64 = 264_192;

/// Timer starts of the firmware for a row: the network of MLPerf Tiny has ten layers.
fn stretches(shape: &str) -> usize {
    if shape == "tiny" { 10 } else { 1 }
}

/// Everything that the firmware `layers` measures on one machine.
pub fn measure(machine: &'static Machine) -> Result<Vec<LayerCount>> {
    let elf = build(machine, "layers", &[], "3")?;
    let lines = run(machine, &elf)?;
    let mut cycles = match Timing::known(machine) {
        // After the two stretches of the scale.
        Some(timing) => Some(cycles::stretches(machine, &elf, timing)?.into_iter().skip(2)),
        None => None,
    };
    let mut rows = Vec::new();
    for (words, instructions) in lines {
        let [format, shape, batch] = words.as_slice() else {
            continue;
        };
        rows.push(LayerCount {
            core: machine.core,
            kernel: machine.kernel,
            format: format.clone(),
            shape: shape.clone(),
            batch: batch.parse().context("a batch is a number")?,
            instructions,
            cycles: cycles.as_mut().map(|cycles| cycles.take(stretches(shape)).sum()),
        });
    }
    Ok(rows)
}

/// The part of the page about layers.
pub fn page(rows: &[LayerCount], page: &mut String) -> Result<()> {
    page.push_str(HEAD);
    let find = |core: &str, format: &str, shape: &str, batch: u32| {
        rows.iter()
            .find(|row| row.core == core && row.format == format && row.shape == shape && row.batch == batch)
    };
    for machine in machines()? {
        let core = machine.core;
        for format in integer_formats() {
            let Some(row) = find(core, format, "256x256", 1) else {
                continue;
            };
            write!(page, "| {core} | `{}` | `{format}` |", row.kernel)?;
            for (shape, batch) in COLUMNS {
                let each = find(core, format, shape, batch).map(|row| row.each(row.instructions));
                write!(page, " {} |", number(each))?;
            }
            writeln!(page)?;
        }
        let (bytes, nibbles) = cmsis(core);
        let [a, b, c] = bytes;
        writeln!(page, "| {core} | CMSIS-NN | s8 | {a:.3} | | {b:.3} | | {c:.3} | | |")?;
        if let Some(nibbles) = nibbles {
            writeln!(page, "| {core} | CMSIS-NN | s4 | | | | | {nibbles:.3} | | |")?;
        }
    }
    page.push_str(CONTRACT);
    page.push_str(CYCLES);
    for machine in machines()? {
        let core = machine.core;
        for format in integer_formats() {
            let each = |shape, batch| {
                let row = find(core, format, shape, batch)?;
                row.cycles.map(|cycles| row.each(cycles))
            };
            if each("256x256", 1).is_none() {
                continue;
            }
            write!(page, "| {core} | `{format}` |")?;
            for (shape, batch) in COLUMNS {
                write!(page, " {} |", number(each(shape, batch)))?;
            }
            writeln!(page)?;
        }
    }
    Ok(())
}

/// Shapes and batches in the order of the tables.
const COLUMNS: [(&str, u32); 7] = [
    ("64x128", 1),
    ("64x128", 4),
    ("128x128", 1),
    ("128x128", 4),
    ("256x256", 1),
    ("256x256", 4),
    ("tiny", 1),
];

fn number(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| format!("{value:.3}"))
}

const HEAD: &str = "
## Layers

Instructions per multiply-accumulate of a whole layer: bringing the input into the kernel's order, products, bias,
requantization, rectifier. Batch 1 and batch 4. The last column is the network of MLPerf Tiny's anomaly detection
(640-128-128-128-128-8-128-128-128-128-640), batch 1.

| core | kernel | format | 64×128 | ×4 | 128×128 | ×4 | 256×256 | ×4 | network |
|---|---|---|---:|---:|---:|---:|---:|---:|---:|
";

const CONTRACT: &str = "
CMSIS-NN is `arm_fully_connected_s8` and `arm_fully_connected_s4` of commit 99f736a (GCC 12.2 -O3, for the M55 clang),
counted the same way. Its contract is another: one scale for the whole tensor, zero points, 32-bit biases, 8 bits in and
out. Here there is a multiplier and a shift per row, 16-bit biases, no zero point in the loop; `w8a16` has 16-bit
activations, which CMSIS-NN multiplies in `arm_fully_connected_s16`. Armv6-M code runs on an emulated Cortex-M3, for its
memory.
";

const CYCLES: &str = "
## Cycles, estimated

The same per multiply-accumulate in cycles, without wait states: each instruction that was executed, at what the core's
manual says (Cortex-M4: Arm 100166, table 3-1, with two cycles to refill the pipeline; Cortex-M0+: Arm DDI 0484C, table
3.1, with the multiplier of one cycle; RISC-V: Ibex with the multiplier of one cycle and without branch target ALU). Not
measured on silicon. For Cortex-M33 and M55 no such tables are published.

| core | format | 64×128 | ×4 | 128×128 | ×4 | 256×256 | ×4 | network |
|---|---|---:|---:|---:|---:|---:|---:|---:|
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_those_of_the_shape_and_batch() {
        let row = |shape: &str, batch| LayerCount {
            core: "Cortex-M4F",
            kernel: "dsp",
            format: "w8a8".to_owned(),
            shape: shape.to_owned(),
            batch,
            instructions: 32_768,
            cycles: None,
        };
        assert_eq!(row("64x128", 4).products(), 32_768);
        assert!((row("64x128", 4).each(32_768) - 1.0).abs() < 1e-12);
        assert_eq!(row("tiny", 1).products(), TINY);
    }
}
