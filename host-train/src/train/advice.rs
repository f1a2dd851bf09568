//! Advice for a training that has run out of memory.

use crate::train::checkpoint::CHECKPOINT;
use crate::train::device::explain_memory_error;
use crate::train::run::Run;
use anyhow::Error;
use std::path::Path;

/// Explains a GPU that has run out of memory while it trained `run`. Other errors stay as they are.
pub fn explain_memory(error: Error, run: &Run, folder: &Path) -> Error {
    let advice = format!(
        "take a smaller train.batch than {}, or fewer models at once; {} is whole",
        run.config.train.batch,
        folder.join(CHECKPOINT).display()
    );
    explain_memory_error(error, &advice)
}
