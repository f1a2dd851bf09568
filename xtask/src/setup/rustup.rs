//! Targets and components by rustup.

use std::env;
use std::process::{Command, Stdio};

use anyhow::{Result, anyhow};

use crate::process;

/// Returns whether there is a rustup that the user has not told to leave the network alone.
pub fn may_download() -> bool {
    process::find_program("rustup").is_some() && env::var_os("RUSTUP_AUTO_INSTALL").is_none_or(|value| value != "0")
}

/// Adds a target to the toolchain in use, and changes nothing else about it.
pub fn add_target(target: &str) -> Result<()> {
    let Some(rustup) = process::find_program("rustup") else {
        return Err(
            anyhow!("the toolchain in use has no target {target}, and there is no rustup").context(what_to_do(target)),
        );
    };
    println!("adding the target {target} to the toolchain in use (rustup)");
    let mut command = Command::new(rustup);
    command.args(["target", "add", target]);
    // Cargo's proxy says which toolchain runs this program.
    if let Some(toolchain) = env::var_os("RUSTUP_TOOLCHAIN") {
        command.arg("--toolchain").arg(toolchain);
    }
    // A missing toolchain is an error here, not an occasion to download one.
    command.env("RUSTUP_AUTO_INSTALL", "0");
    process::run(&mut command).map_err(|error| error.context(what_to_do(target)))
}

/// Components of the toolchain in use that the checks need and that it lacks, as a minimal profile does.
pub fn missing_components() -> Vec<&'static str> {
    [("fmt", "rustfmt"), ("clippy", "clippy")]
        .into_iter()
        .filter(|(subcommand, _)| {
            let status = process::cargo()
                .args([subcommand, "--version"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            !status.is_ok_and(|status| status.success())
        })
        .map(|(_, component)| component)
        .collect()
}

fn what_to_do(target: &str) -> String {
    format!(
        "the target {target} is missing: run `rustup target add {target}` where rustup can \
         download, or set ANCESTRAL_TARGETS=distro on Debian or Ubuntu to use the distribution's \
         compiler (`apt-get install rustc-web rust-web-src lld`, newest versions), or install your \
         distribution's package of Rust's library for {target}"
    )
}
