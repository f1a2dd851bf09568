//! Compiles the kernels for a GPU, in a build with the feature `cuda` only.

use std::path::PathBuf;
use std::process::Command;

/// Oldest compute capability that has everything the kernels and products use.
const CAPABILITY: &str = "80";

fn main() {
    for file in [
        "all.cu",
        "base.h",
        "draw.cu",
        "elbo.cu",
        "layer.cu",
        "read_out.h",
        "update.cu",
    ] {
        println!("cargo::rerun-if-changed=src/fused/cuda/{file}");
    }
    for variable in ["CARGO_FEATURE_CUDA", "CUDA_COMPUTE_CAP", "NVCC", "CUDA_HOME"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    if std::env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    if let Err(sentence) = compile_kernels() {
        println!("cargo::error={sentence}");
    }
}

fn compile_kernels() -> Result<(), String> {
    let capability = std::env::var("CUDA_COMPUTE_CAP").unwrap_or_else(|_| CAPABILITY.to_owned());
    let digits = capability.trim_end_matches(|c: char| c.is_ascii_lowercase());
    match digits.parse::<u32>() {
        Ok(80..=999) => (),
        _ => {
            return Err(format!(
                "CUDA_COMPUTE_CAP is {capability:?}: the kernels need 80 or more (8.0: A100, RTX 30 and later)"
            ));
        }
    }
    println!("cargo::rustc-env=ANCESTRAL_COMPUTE_CAP={digits}");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo has set no OUT_DIR: build with cargo")?);
    let nvcc = match (std::env::var_os("NVCC"), std::env::var_os("CUDA_HOME")) {
        (Some(nvcc), _) => PathBuf::from(nvcc),
        (None, Some(home)) => PathBuf::from(home).join("bin/nvcc"),
        (None, None) => PathBuf::from("nvcc"),
    };
    let run = Command::new(&nvcc)
        .args(["-ptx", "-O3", "--std=c++17", "-arch"])
        .arg(format!("compute_{capability}"))
        .arg("-o")
        .arg(out.join("kernels.ptx"))
        .arg("src/fused/cuda/all.cu")
        .output()
        .map_err(|error| {
            format!(
                "the feature `cuda` needs nvcc, and {} cannot be run ({error}): install CUDA or unpack its wheels \
                 (docs/cuda.md), and name it by NVCC, CUDA_HOME or PATH",
                nvcc.display()
            )
        })?;
    if run.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&run.stderr);
    let first = stderr
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("it said nothing");
    Err(format!("{} could not compile the kernels: {first}", nvcc.display()))
}
