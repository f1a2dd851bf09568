//! Checks of the desktop's crates. Everything that is linked with candle is built in one profile, release: candle takes
//! minutes to build. Only the core's tests run in the profile dev too, which checks every overflow.

use anyhow::Result;

use super::checks::{Checks, Outcome};
use super::{features, package};
use crate::host_train::CHECKED;
use crate::process;
use crate::quality;

/// Every check of the desktop's crates.
pub fn all(checks: &mut Checks) -> Result<()> {
    checks.cargo("lock file is up to date", "fetch --locked")?;
    checks.cargo("format", "fmt --all --check")?;
    checks.cargo("lints", "clippy --release --workspace --all-targets -- -D warnings")?;
    features::on_desktop(checks)?;
    checks.run(
        "documentation",
        process::cargo()
            .args(["doc", "--release", "--workspace", "--no-deps"])
            .env("RUSTDOCFLAGS", "-Dwarnings"),
    )?;
    checks.cargo(
        "tests of the core, with overflow checks",
        "test --package ancestral --features std,alloc",
    )?;
    package::all(checks)?;
    // In the core, overflow checks are off here and the optimizer is at work: the same bits must come out.
    checks.run(
        "tests of every crate, optimized",
        process::cargo()
            .args(["test", "--release", "--workspace"])
            .args(CHECKED),
    )?;
    checks.check("tests of the Python tools", || {
        Ok(quality::test_python()?.map_or(Outcome::Passed, Outcome::Skipped))
    })?;
    features::tests_with_mpi(checks)
}
