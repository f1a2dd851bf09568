//! Selects the kernel, and detects what stable Rust does not show as a `target_feature`: the FPU and the DSP
//! instructions of a bare-metal Arm target. Cores with vectors even share their target with cores without.

use std::env;
use std::fs;
use std::path::Path;

/// One kernel: `src/kernel/<name>.rs`, a `mod` line in `src/kernel.rs`, and a row of [`KERNELS`].
struct Kernel {
    /// Name of the file and of the module; the feature `kernel-<name>` asks for it where `Cargo.toml` has one.
    name: &'static str,
    /// Type that implements the trait `Kernel`.
    type_name: &'static str,
    /// Prefixes of the targets that can run it.
    runs_on: &'static [&'static str],
    /// Returns whether it is the fastest that every core of a target runs.
    is_default: fn(target: &str) -> bool,
    /// Number of sums in a block: a number of rows that the kernel's loops divide, and no more stack than they are
    /// worth.
    block: usize,
    /// The same where the compiler is asked for small code.
    small_block: usize,
}

/// Every kernel. The first default that fits the target is chosen, and the last row fits all.
const KERNELS: [Kernel; 6] = [
    Kernel {
        name: "helium",
        type_name: "Helium",
        runs_on: &["thumbv8m.main"],
        is_default: |target| target.starts_with("thumbv8m.main") && has_helium(),
        block: 128,
        small_block: 128,
    },
    Kernel {
        name: "dsp",
        type_name: "Dsp",
        runs_on: &["thumbv7em", "thumbv8m.main"],
        is_default: |target| target.starts_with("thumbv7em-") || target.starts_with("thumbv8m.main-"),
        block: 60,
        small_block: 24,
    },
    Kernel {
        name: "armv6m",
        type_name: "Armv6m",
        runs_on: &["thumb"],
        is_default: |target| target.starts_with("thumbv6m-") || target.starts_with("thumbv8m.base-"),
        block: 60,
        small_block: 60,
    },
    Kernel {
        name: "rv32im",
        type_name: "Rv32im",
        runs_on: &["riscv32im"],
        is_default: |target| target.starts_with("riscv32im"),
        block: 60,
        small_block: 60,
    },
    Kernel {
        name: "desktop",
        type_name: "Desktop",
        runs_on: &[],
        is_default: |target| target.starts_with("x86_64-") && env::var_os("CARGO_FEATURE_STD").is_some(),
        block: 60,
        small_block: 60,
    },
    PORTABLE,
];

/// The kernel for any core. It wins over all others that are asked for, because a build with every feature must be
/// possible.
const PORTABLE: Kernel = Kernel {
    name: "portable",
    type_name: "Portable",
    runs_on: &[""],
    is_default: |_| true,
    block: 60,
    small_block: 60,
};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(ancestral_vcvt)");
    println!("cargo::rustc-check-cfg=cfg(ancestral_armv8m)");
    println!("cargo::rustc-check-cfg=cfg(ancestral_small)");
    for Kernel { name, .. } in &KERNELS {
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
    // A build for size wants no unrolled assembly either.
    let small = env::var("OPT_LEVEL").is_ok_and(|level| matches!(level.as_str(), "s" | "z"));
    if small {
        println!("cargo::rustc-cfg=ancestral_small");
    }
    if let Err(sentence) = select(&target).and_then(|kernel| write(kernel, small)) {
        println!("cargo::error={sentence}");
    }
}

/// Tells the crate its kernel: a `cfg` for the `mod` lines, the type's name and the size of a block for the code.
fn write(kernel: &Kernel, small: bool) -> Result<(), String> {
    println!("cargo::rustc-cfg=ancestral_kernel=\"{}\"", kernel.name);
    let block = if small { kernel.small_block } else { kernel.block };
    let active = format!(
        "/// The kernel of this build.\npub use self::{}::{} as Active;\n",
        kernel.name, kernel.type_name
    );
    let folder = env::var_os("OUT_DIR").ok_or("cargo sets no OUT_DIR")?;
    for (file, text) in [("active_kernel.rs", active), ("block.rs", block.to_string())] {
        let path = Path::new(&folder).join(file);
        fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(())
}

/// Returns the kernel that a feature asks for, or else the default of the target.
fn select(target: &str) -> Result<&'static Kernel, String> {
    let asked: Vec<_> = KERNELS.iter().filter(|kernel| is_asked_for(kernel.name)).collect();
    match asked.as_slice() {
        [] => Ok(default_kernel(target)),
        several if several.iter().any(|kernel| kernel.name == PORTABLE.name) => Ok(&PORTABLE),
        [kernel] if kernel.runs_on.iter().any(|prefix| target.starts_with(prefix)) => Ok(kernel),
        [kernel] => Err(format!(
            "the feature kernel-{} is not for the target {target}; without it the kernel is {}",
            kernel.name,
            default_kernel(target).name
        )),
        [one, other, ..] => Err(format!(
            "the features kernel-{} and kernel-{} exclude each other; ask for one kernel or for none",
            one.name, other.name
        )),
    }
}

fn is_asked_for(kernel: &str) -> bool {
    env::var_os(format!("CARGO_FEATURE_KERNEL_{}", kernel.to_uppercase())).is_some()
}

fn default_kernel(target: &str) -> &'static Kernel {
    KERNELS
        .iter()
        .find(|kernel| (kernel.is_default)(target))
        .unwrap_or(&PORTABLE)
}

/// Armv8-M targets do not say whether the core has vectors; `-C target-cpu` or `-C target-feature` may.
fn has_helium() -> bool {
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let features = env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    ["cortex-m55", "cortex-m85", "+mve"]
        .iter()
        .any(|name| flags.contains(name))
        || features.split(',').any(|feature| feature == "mve")
}
