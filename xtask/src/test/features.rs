//! Every feature of every package by itself, and all of them together.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use firmware_build::machine::MACHINES;
use serde_json::Value;

use super::checks::{Checks, Outcome, passes};
use super::nvcc;
use crate::host_train::CHECKED;
use crate::process;
use crate::setup;

/// Prefix of the core's features that ask for a kernel.
const KERNEL: &str = "kernel-";

/// Lints on the desktop.
pub fn on_desktop(checks: &mut Checks) -> Result<()> {
    let core = features("ancestral")?;
    // Without the tests: what they depend on turns features on.
    checks.cargo("lints of the core without features", &lints("ancestral", "", "--lib"))?;
    for feature in &core {
        match feature.strip_prefix(KERNEL) {
            None | Some("portable") => {
                let title = format!("lints of the core with {feature}");
                checks.cargo(&title, &lints("ancestral", feature, "--lib"))?;
            }
            Some(_) => checks.check(&format!("the core refuses {feature} on the desktop"), || {
                refused(feature)
            })?,
        }
    }
    checks.cargo(
        "lints of the core with every feature",
        "clippy --release --package ancestral --all-targets --all-features -- -D warnings",
    )?;
    host_train(checks)
}

/// Features of `host-train`; none of them changes what other crates but candle are built with.
fn host_train(checks: &mut Checks) -> Result<()> {
    let all = features("host-train")?;
    let sets = all.iter().cloned().chain([all.join(",")]);
    let mut cuda = None;
    for features in sets {
        let title = format!("lints of host-train with {features}");
        let with = |name: &str| features.split(',').any(|feature| feature == name);
        if with("mpi") && !setup::mpi_available() {
            checks.check(&title, || Ok(Outcome::Skipped(NO_MPI.to_owned())))?;
            continue;
        }
        let mut command = process::cargo();
        command.args(lints("host-train", &features, "--all-targets").split_whitespace());
        if with("cuda") {
            let environment = match cuda.take() {
                Some(environment) => environment,
                None => nvcc::Environment::create()?,
            };
            cuda.insert(environment).apply(&mut command);
        }
        checks.run(&title, &mut command)?;
    }
    Ok(())
}

/// Tests of `host-train` that start several processes.
pub fn tests_with_mpi(checks: &mut Checks) -> Result<()> {
    const TITLE: &str = "training on several processes (MPI)";
    if !setup::mpi_available() {
        return checks.check(TITLE, || Ok(Outcome::Skipped(NO_MPI.to_owned())));
    }
    let arguments = "test --release --package host-train --features mpi --test mpi";
    checks.run(TITLE, process::cargo().args(arguments.split_whitespace()).args(CHECKED))
}

const NO_MPI: &str = "it needs mpirun, mpicc and clang, and apt cannot install them here";

/// Checks on every emulated core's target: the core without features, with those that any target can have, and with the
/// kernel of that core.
pub fn on_bare_metal(checks: &mut Checks) -> Result<()> {
    let all = features("ancestral")?;
    let mut targets: Vec<&str> = Vec::new();
    for machine in MACHINES {
        let toolchain = setup::ensure(machine)?;
        let mut sets = Vec::new();
        if !targets.contains(&machine.target) {
            targets.push(machine.target);
            sets.extend(["", "alloc", "defmt"].map(str::to_owned));
        }
        let kernel = format!("{KERNEL}{}", machine.kernel);
        if all.contains(&kernel) {
            sets.push(kernel);
        }
        for features in sets {
            let with = match features.as_str() {
                "" => "without features",
                some => some,
            };
            checks.check(&format!("the core builds for {}, {with}", machine.target), || {
                passes(
                    toolchain
                        .cargo("check")
                        // Like the firmware, so that macros are compiled once for both.
                        .args(["--release", "--package", "ancestral", "--no-default-features"])
                        .args(["--features", &features]),
                )
            })?;
        }
    }
    Ok(())
}

fn lints(package: &str, features: &str, targets: &str) -> String {
    let features = match features {
        "" => String::new(),
        some => format!("--features {some}"),
    };
    format!("clippy --release --package {package} {targets} --no-default-features {features} -- -D warnings")
}

/// Passes where the build script refuses a kernel with its sentence.
fn refused(feature: &str) -> Result<Outcome> {
    let arguments = format!("check --release --package ancestral --lib --no-default-features --features {feature}");
    let output = process::cargo()
        .args(arguments.split_whitespace())
        .stdin(Stdio::null())
        .output()
        .context("cannot start cargo")?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() || !said.contains("is not for the target") {
        bail!("`cargo {arguments}` should be refused as not for this target; it printed:\n{said}");
    }
    Ok(Outcome::Passed)
}

/// Returns the features of a package, as its manifest has them, without the default.
fn features(package: &str) -> Result<Vec<String>> {
    let mut metadata: Command = process::cargo();
    metadata.args(["metadata", "--no-deps", "--format-version", "1", "--offline"]);
    let text = process::capture(&mut metadata)?;
    parse_features(&text, package).with_context(|| format!("cargo metadata says nothing of the features of {package}"))
}

fn parse_features(metadata: &str, package: &str) -> Option<Vec<String>> {
    let metadata: Value = serde_json::from_str(metadata).ok()?;
    let packages = metadata["packages"].as_array()?;
    let found = packages.iter().find(|found| found["name"] == package)?;
    let names = found["features"].as_object()?.keys();
    Some(names.filter(|name| *name != "default").cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_come_from_the_manifest() {
        let core = features("ancestral").unwrap();
        assert!(core.iter().any(|name| name == "kernel-dsp") && core.iter().all(|name| name != "default"));
        assert!(features("no-such-package").is_err());
    }

    #[test]
    fn every_core_with_a_kernel_of_its_own_has_its_feature() {
        let core = features("ancestral").unwrap();
        for machine in MACHINES {
            let feature = format!("{KERNEL}{}", machine.kernel);
            assert!(core.contains(&feature), "{} has no {feature}", machine.name);
        }
    }
}
