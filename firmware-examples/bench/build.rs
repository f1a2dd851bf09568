//! Puts the machine's memory where the linker finds it, and the model and its format where the program does.
//! `ANCESTRAL_MACHINE` says which machine, `ANCESTRAL_MODEL` and `ANCESTRAL_FORMAT` which model; `ANCESTRAL_EMPTY`
//! leaves the sampler out.

use ancestral::FormatId;
use std::env;
use std::fs;
use std::path::PathBuf;

/// QEMU's machines: name, flash and RAM. The RISC-V one runs from RAM.
const MACHINES: &[(&str, &str, &str)] = &[
    ("microbit", "0x00000000, LENGTH = 256K", "0x20000000, LENGTH = 16K"),
    ("mps2-an385", "0x00000000, LENGTH = 4M", "0x20000000, LENGTH = 4M"),
    ("mps2-an386", "0x00000000, LENGTH = 4M", "0x20000000, LENGTH = 4M"),
    ("mps2-an505", "0x10000000, LENGTH = 4M", "0x38000000, LENGTH = 4M"),
    ("mps3-an547", "0x00000000, LENGTH = 512K", "0x20000000, LENGTH = 512K"),
    ("virt", "0x80000000, LENGTH = 4M", "0x80400000, LENGTH = 4M"),
];

const RISCV: &str = "
REGION_ALIAS(\"REGION_TEXT\", FLASH);
REGION_ALIAS(\"REGION_RODATA\", FLASH);
REGION_ALIAS(\"REGION_DATA\", RAM);
REGION_ALIAS(\"REGION_BSS\", RAM);
REGION_ALIAS(\"REGION_HEAP\", RAM);
REGION_ALIAS(\"REGION_STACK\", RAM);
";

fn main() {
    if let Err(sentence) = prepare() {
        println!("cargo::error={sentence}");
    }
}

fn prepare() -> Result<(), String> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=ANCESTRAL_MACHINE");
    println!("cargo::rerun-if-env-changed=ANCESTRAL_MODEL");
    println!("cargo::rerun-if-env-changed=ANCESTRAL_FORMAT");
    println!("cargo::rerun-if-env-changed=ANCESTRAL_EMPTY");
    println!("cargo::rustc-check-cfg=cfg(bench_empty)");
    let format = env::var("ANCESTRAL_FORMAT").unwrap_or_else(|_| "w8a16".to_owned());
    let id = FormatId::ALL.iter().find(|id| id.name() == format);
    let id = id.ok_or_else(|| format!("ANCESTRAL_FORMAT is {format:?}, which is no number format"))?;
    let chosen = format!(
        "/// Number format of the model, `ANCESTRAL_FORMAT`.\npub use ancestral::{} as Chosen;\n",
        id.type_name()
    );
    let model = env::var("ANCESTRAL_MODEL").or_else(|_| {
        env::var("CARGO_MANIFEST_DIR").map(|folder| format!("{folder}/../../models/digits-t64-{format}.vdm"))
    });
    println!("cargo::rustc-env=ANCESTRAL_MODEL={}", model.unwrap_or_default());
    if env::var_os("ANCESTRAL_EMPTY").is_some() {
        println!("cargo::rustc-cfg=bench_empty");
    }
    let riscv = env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "riscv32");
    let default = if riscv { "virt" } else { "mps2-an386" };
    let name = env::var("ANCESTRAL_MACHINE").unwrap_or_else(|_| default.to_owned());
    let Some((_, flash, ram)) = MACHINES.iter().find(|(machine, ..)| *machine == name) else {
        let names: Vec<_> = MACHINES.iter().map(|(machine, ..)| *machine).collect();
        return Err(format!(
            "ANCESTRAL_MACHINE is {name:?}; it must be one of {}",
            names.join(", ")
        ));
    };
    let mut memory = format!("MEMORY\n{{\n  FLASH : ORIGIN = {flash}\n  RAM : ORIGIN = {ram}\n}}\n");
    if riscv {
        memory.push_str(RISCV);
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets no OUT_DIR")?);
    for (file, text) in [("memory.x", memory), ("chosen.rs", chosen)] {
        let path = out.join(file);
        fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    println!("cargo::rustc-link-search={}", out.display());
    println!("cargo::rustc-link-arg=--nmagic");
    if riscv {
        println!("cargo::rustc-link-arg=-Tmemory.x");
    }
    println!("cargo::rustc-link-arg=-Tlink.x");
    Ok(())
}
