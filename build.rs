//! Chooses what the compiler does not tell: stable Rust shows no `target_feature` for the FPU or the DSP instructions of a
//! bare-metal Arm target.

use std::env;

/// Every kernel, and the feature that asks for it.
const KERNELS: [(&str, &str); 4] = [
    ("portable", "CARGO_FEATURE_KERNEL_PORTABLE"),
    ("dsp", "CARGO_FEATURE_KERNEL_DSP"),
    ("armv6m", "CARGO_FEATURE_KERNEL_ARMV6M"),
    ("rv32im", "CARGO_FEATURE_KERNEL_RV32IM"),
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(ancestral_vcvt)");
    println!("cargo::rustc-check-cfg=cfg(ancestral_armv8m)");
    println!("cargo::rustc-check-cfg=cfg(ancestral_kernel, values(\"portable\", \"dsp\", \"armv6m\", \"rv32im\"))");
    let target = env::var("TARGET").unwrap_or_default();
    // Hard float on a microcontroller: FPv4-SP or FPv5, both of which convert half to single precision.
    if target.starts_with("thumb") && target.ends_with("-eabihf") {
        println!("cargo::rustc-cfg=ancestral_vcvt");
    }
    if target.starts_with("thumbv8m") {
        println!("cargo::rustc-cfg=ancestral_armv8m");
    }
    let asked: Vec<&str> = KERNELS
        .iter()
        .filter(|(_, feature)| env::var_os(feature).is_some())
        .map(|(name, _)| *name)
        .collect();
    let kernel = asked.first().copied().unwrap_or_else(|| of_target(&target));
    println!("cargo::rustc-cfg=ancestral_kernel=\"{kernel}\"");
}

/// The fastest kernel that every core of this target runs.
fn of_target(target: &str) -> &'static str {
    match target.split('-').next().unwrap_or_default() {
        "thumbv7em" | "thumbv8m.main" => "dsp",
        "thumbv6m" | "thumbv8m.base" => "armv6m",
        riscv if riscv.starts_with("riscv32im") => "rv32im",
        _ => "portable",
    }
}
