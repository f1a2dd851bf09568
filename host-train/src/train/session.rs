//! One call of the training loop: who trains, where its files go, and when it ends.

use crate::parallel::{Group, SingleProcess};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Reason why the training loop has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All steps are done.
    Finished,
    /// It was asked to stop; the checkpoint holds the run.
    Interrupted,
}

/// Everything about one call of the training loop that is not part of the run.
#[derive(Clone, Copy)]
pub struct Session<'a> {
    /// The processes that train together. The first of them writes the files; one that is asked to stop stops all after
    /// the same step.
    pub group: &'a dyn Group,
    /// Folder for checkpoints and the loss log.
    pub folder: &'a Path,
    /// Set from outside to end early with a checkpoint.
    pub stop: &'a AtomicBool,
    /// Number of steps after which to end early with a checkpoint.
    pub stop_at: Option<u64>,
    /// Hides the progress.
    pub quiet: bool,
}

impl<'a> Session<'a> {
    /// A session of this process alone that shows no progress.
    pub fn quiet(folder: &'a Path, stop: &'a AtomicBool) -> Self {
        Self {
            group: &SingleProcess,
            folder,
            stop,
            stop_at: None,
            quiet: true,
        }
    }

    /// Returns true once this process was asked to stop.
    pub fn stop_requested(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Returns true if `steps` are as many as this session may reach.
    pub fn reaches_stop(&self, steps: u64) -> bool {
        self.stop_at.is_some_and(|stop_at| steps >= stop_at)
    }
}
