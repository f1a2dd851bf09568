//! One run on several processes, called *ranks*. Each computes its share of every batch, and the gradients are added
//! up.
//!
//! The rows of a batch, their times and their noise are those that one process would draw. Every rank steps the same
//! generator through the whole batch and computes with its own rows. So only the order of sums depends on the number
//! of ranks, and a run may be resumed with another number.

use super::watch::Watch;
use crate::rng::Share;
use anyhow::{Result, ensure};

/// The processes that work on one run. All of them must call `sum`, `gather` and `wait` in the same order.
pub trait Group {
    /// Returns the number of this process, from 0.
    fn rank(&self) -> usize;

    /// Returns the number of processes.
    fn size(&self) -> usize;

    /// Replaces each value by its sum over all ranks, with the same bits on every rank.
    fn sum(&self, values: &mut [f32]);

    /// Returns the words of all ranks, in their order.
    fn gather(&self, word: u64) -> Vec<u64>;

    /// Waits for the other ranks, however long that takes, and leaves the core to other programs meanwhile.
    fn wait(&self);

    /// Returns a view of this rank's waiting for other threads.
    fn watch(&self) -> Watch {
        Watch::default()
    }

    /// Returns true on the rank that writes files and prints.
    fn leads(&self) -> bool {
        self.rank() == 0
    }

    /// Returns this rank's rows of every batch.
    fn share(&self, batch: usize) -> Result<Share> {
        ensure!(
            batch >= self.size(),
            "train.batch is {batch} and there are {} ranks: each needs at least one row",
            self.size()
        );
        Ok(Share::of_rank(batch, self.rank(), self.size()))
    }
}

/// The group of one process.
pub struct SingleProcess;

impl Group for SingleProcess {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn sum(&self, _: &mut [f32]) {}

    fn gather(&self, word: u64) -> Vec<u64> {
        vec![word]
    }

    fn wait(&self) {}
}
