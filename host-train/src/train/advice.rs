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
