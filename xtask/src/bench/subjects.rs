//! The machines, number formats and models that are measured.

use std::path::PathBuf;
use std::sync::LazyLock;

use ancestral::FormatId;
use anyhow::{Context, Result, anyhow};
use firmware_build::machine::Machine;

use crate::paths;

/// Armv6-M code on a machine that has the memory for a model of digits; it executes what the smaller core would.
static M0_PLUS: LazyLock<Option<Machine>> = LazyLock::new(|| {
    let host = Machine::find("mps2-an385").ok()?;
    let core = Machine::find("microbit").ok()?;
    Some(Machine {
        core: "Cortex-M0+",
        target: core.target,
        kernel: core.kernel,
        ..*host
    })
});

/// The machines that are measured.
pub fn machines() -> Result<Vec<&'static Machine>> {
    let find = |name| Machine::find(name).map_err(|sentence| anyhow!(sentence));
    Ok(vec![
        find("mps2-an386")?,
        find("mps2-an505")?,
        M0_PLUS.as_ref().context("there is no machine for Armv6-M")?,
        find("mps3-an547")?,
        find("virt")?,
    ])
}

/// Names of the integer formats.
pub fn integer_formats() -> impl Iterator<Item = &'static str> {
    FormatId::ALL.iter().filter(|id| id.is_integer()).map(|id| id.name())
}

/// A model that samples are drawn from.
pub struct Model {
    /// Number format.
    pub format: &'static str,
    /// Width of the hidden layers.
    pub width: u32,
    /// The file.
    pub path: PathBuf,
}

impl Model {
    /// The digits, 256 wide.
    pub fn digits(format: &'static str) -> Self {
        Self::named("digits", 256, format)
    }

    /// The digits, 64 wide.
    pub fn small(format: &'static str) -> Self {
        Self::named("digits-small", 64, format)
    }

    fn named(set: &str, width: u32, format: &'static str) -> Self {
        let path = paths::root().join(format!("models/{set}-t64-{format}.vdm"));
        Self { format, width, path }
    }

    /// Returns the environment of the firmware's build.
    pub fn settings(&self) -> [(&'static str, String); 1] {
        [("ANCESTRAL_MODEL", self.path.display().to_string())]
    }
}
