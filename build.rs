//! Chooses what the compiler does not tell: stable Rust shows no `target_feature` for the FPU or the DSP instructions of a
//! bare-metal Arm target, and the target of cores with vectors is that of cores without.

use std::env;

/// Every kernel, the feature that asks for it, and the beginnings of the targets that it is for.
const KERNELS: [(&str, &str, &[&str]); 6] = [
    ("portable", "CARGO_FEATURE_KERNEL_PORTABLE", &[""]),
    // Not asked for: it is what a desktop has.
    ("desktop", "", &[]),
    ("helium", "CARGO_FEATURE_KERNEL_HELIUM", &["thumbv8m.main"]),
    ("dsp", "CARGO_FEATURE_KERNEL_DSP", &["thumbv7em", "thumbv8m.main"]),
    ("armv6m", "CARGO_FEATURE_KERNEL_ARMV6M", &["thumb"]),
    ("rv32im", "CARGO_FEATURE_KERNEL_RV32IM", &["riscv32im"]),
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(ancestral_vcvt)");
    println!("cargo::rustc-check-cfg=cfg(ancestral_armv8m)");
    println!("cargo::rustc-check-cfg=cfg(ancestral_small)");
    for (name, ..) in KERNELS {
        println!("cargo::rustc-check-cfg=cfg(ancestral_kernel, values(\"{name}\"))");
    }
    let target = env::var("TARGET").unwrap_or_default();
    // Hard float on a microcontroller: FPv4-SP or FPv5, both of which convert half to single precision.
    if target.starts_with("thumb") && target.ends_with("-eabihf") {
        println!("cargo::rustc-cfg=ancestral_vcvt");
    }
    if target.starts_with("thumbv8m") {
        println!("cargo::rustc-cfg=ancestral_armv8m");
    }
    // Who asks the compiler for size wants no unrolled assembly either.
    if env::var("OPT_LEVEL").is_ok_and(|level| matches!(level.as_str(), "s" | "z")) {
        println!("cargo::rustc-cfg=ancestral_small");
    }
    match chosen(&target) {
        Ok(kernel) => println!("cargo::rustc-cfg=ancestral_kernel=\"{kernel}\""),
        Err(sentence) => println!("cargo::error={sentence}"),
    }
}

/// The kernel that a feature asks for, or the fastest that every core of this target runs.
fn chosen(target: &str) -> Result<&'static str, String> {
    let asked: Vec<_> = KERNELS
        .iter()
        .filter(|(_, feature, _)| !feature.is_empty() && env::var_os(feature).is_some())
        .collect();
    match asked.as_slice() {
        [] => Ok(of_target(target)),
        // It runs anywhere, and a build with every feature must be possible.
        [("portable", ..), ..] => Ok("portable"),
        [(kernel, _, targets)] if targets.iter().any(|beginning| target.starts_with(beginning)) => Ok(kernel),
        [(kernel, ..)] => Err(format!(
            "the feature kernel-{kernel} is not for the target {target}; without it the kernel is {}",
            of_target(target)
        )),
        [(one, ..), (other, ..), ..] => Err(format!(
            "the features kernel-{one} and kernel-{other} exclude each other; ask for one kernel or for none"
        )),
    }
}

fn of_target(target: &str) -> &'static str {
    if target.starts_with("thumbv8m.main") && has_helium() {
        return "helium";
    }
    match target.split('-').next().unwrap_or_default() {
        "thumbv7em" | "thumbv8m.main" => "dsp",
        "x86_64" if env::var_os("CARGO_FEATURE_STD").is_some() => "desktop",
        "thumbv6m" | "thumbv8m.base" => "armv6m",
        riscv if riscv.starts_with("riscv32im") => "rv32im",
        _ => "portable",
    }
}

/// Armv8-M targets do not say whether the core has vectors: the flags may, by `-C target-cpu` or `-C target-feature`.
fn has_helium() -> bool {
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let features = env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    ["cortex-m55", "cortex-m85", "+mve"]
        .iter()
        .any(|name| flags.contains(name))
        || features.split(',').any(|feature| feature == "mve")
}
