//! Chooses what the compiler does not tell: stable Rust shows no `target_feature` for the FPU of a bare-metal Arm target.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(ancestral_vcvt)");
    let target = std::env::var("TARGET").unwrap_or_default();
    // Hard float on a microcontroller: FPv4-SP or FPv5, both of which convert half to single precision.
    if target.starts_with("thumb") && target.ends_with("-eabihf") {
        println!("cargo::rustc-cfg=ancestral_vcvt");
    }
}
