//! Advice for errors that a user can avoid.

use super::checkpoint::{CHECKPOINT, Run};
use super::device::explain_memory_error;
use anyhow::Error;
use std::path::Path;

/// Advice for a GPU that has run out of memory.
pub const OUT_OF_MEMORY_ADVICE: &str = "take a smaller batch, or fewer models at once";

/// Explains a GPU that has run out of memory while it trained `run`. Other errors stay as they are.
pub fn explain_memory(error: Error, run: &Run, folder: &Path) -> Error {
    let advice = format!(
        "take a smaller train.batch than {}, or fewer models at once; {} is whole",
        run.config.train.batch,
        folder.join(CHECKPOINT).display()
    );
    explain_memory_error(error, &advice)
}

/// Advice for a chain that does not reach the standard normal.
///
/// * `learned`: γ is learned;
/// * `last`: the γ_T that is too low.
pub fn raise_last_gamma(learned: bool, last: f64) -> String {
    match learned {
        true => format!("set model.gamma_last_bound above {last:.2}"),
        false => format!("leave model.gamma_last out, or set it above {last:.2}"),
    }
}
