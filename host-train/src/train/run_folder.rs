//! The files that training writes.

use super::checkpoint::{CHECKPOINT, WEIGHTS};
use super::log::{LOSSES, LossLog};
use super::run::Run;
use super::session::Session;
use anyhow::Result;
use std::path::PathBuf;

/// The files of a run. Only the leading rank writes them.
pub(super) struct RunFolder {
    checkpoint: PathBuf,
    weights: PathBuf,
    writes: bool,
    /// The loss log, which is written with each checkpoint.
    pub(super) log: LossLog,
}

impl RunFolder {
    /// Opens a session's folder for a run.
    pub(super) fn open(session: &Session<'_>, run: &Run) -> Self {
        Self {
            checkpoint: session.folder.join(CHECKPOINT),
            weights: session.folder.join(WEIGHTS),
            writes: session.group.leads(),
            log: LossLog::open(session.folder.join(LOSSES), run.optimizer.step),
        }
    }

    /// Writes a checkpoint and the log.
    pub(super) fn save(&self, run: &Run) -> Result<()> {
        if !self.writes {
            return Ok(());
        }
        run.save(&self.checkpoint)?;
        self.log.flush()
    }

    /// Writes the final weights.
    pub(super) fn save_weights(&self, run: &Run) -> Result<()> {
        if !self.writes {
            return Ok(());
        }
        run.save_weights(&self.weights)
    }
}
