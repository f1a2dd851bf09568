//! The core as a package: what users of crates.io get builds and passes its tests alone.

use std::fs;

use anyhow::{Context, Result, bail};

use super::checks::{Checks, Outcome, passes};
use crate::paths;
use crate::process;

/// Largest package that crates.io takes, in bytes.
const LIMIT: u64 = 10 << 20;

/// Packs the core and runs its tests from the unpacked package.
pub fn all(checks: &mut Checks) -> Result<()> {
    checks.check("the core's package builds alone", || {
        let arguments = "package --package ancestral --locked --allow-dirty";
        passes(process::cargo().args(arguments.split_whitespace()))?;
        let path = paths::target().join("package").join(format!("{}.crate", name()));
        let bytes = fs::metadata(&path)
            .with_context(|| format!("cannot read {}", paths::shown(&path)))?
            .len();
        if bytes > LIMIT {
            bail!("{} has {bytes} bytes, and crates.io takes {LIMIT}", paths::shown(&path));
        }
        println!("{bytes} bytes");
        Ok(Outcome::Passed)
    })?;
    // Dependencies are those of the core's tests in the repository, built there.
    checks.run(
        "tests of the core from its unpacked package",
        process::cargo()
            .current_dir(paths::target().join("package").join(name()))
            .env("CARGO_TARGET_DIR", paths::target())
            .args(["test", "--quiet", "--features", "std"]),
    )
}

/// Name and version: all crates of the workspace have one version.
fn name() -> String {
    format!("ancestral-{}", env!("CARGO_PKG_VERSION"))
}
