//! One run on several processes, *ranks*: each takes its share of every batch, and their gradients are added up.
//!
//! The rows of a batch, their times and their noise are those that one process would draw. Every rank steps the same generator through
//! all of them and computes with its own, so a run does not depend on the number of ranks but for the order of sums, and may be
//! resumed with another.

use super::watch::Watch;
use crate::rng::Share;
use anyhow::{Result, ensure};

/// The processes that work on one run. Every method but the first two is called by all of them, in the same order.
pub trait Group {
    /// Which of them this is, from 0.
    fn rank(&self) -> usize;

    /// How many they are.
    fn size(&self) -> usize;

    /// Puts the sum over all ranks in the place of each value: the same bits on every rank.
    fn sum(&self, values: &mut [f32]);

    /// Every rank's word, in their order.
    fn gather(&self, word: u64) -> Vec<u64>;

    /// Waits for the others, however long that takes, and leaves the core to other programs meanwhile.
    fn wait(&self);

    /// Shows another thread whether this rank waits for others.
    fn watch(&self) -> Watch {
        Watch::default()
    }

    /// Whether this is the rank that writes files and speaks.
    fn leads(&self) -> bool {
        self.rank() == 0
    }

    /// This rank's rows of every batch.
    fn share(&self, batch: usize) -> Result<Share> {
        ensure!(
            batch >= self.size(),
            "train.batch is {batch} and there are {} ranks: each needs at least one row",
            self.size()
        );
        Ok(Share::of_rank(batch, self.rank(), self.size()))
    }
}

/// One process.
pub struct Alone;

impl Group for Alone {
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

/// Another rank failed, and that one says why.
#[derive(Debug, thiserror::Error)]
#[error("another rank failed")]
pub struct Elsewhere;

/// Fails on every rank where one has failed; the first of those has the reason.
pub fn agreed<T>(group: &dyn Group, own: Result<T>) -> Result<T> {
    let failed = group.gather(u64::from(own.is_err()));
    match failed.iter().position(|failed| *failed != 0) {
        None => own,
        Some(first) if first == group.rank() => own,
        Some(_) => Err(Elsewhere.into()),
    }
}

/// Of an error that every rank has, the first alone has the reason.
pub fn once<T>(group: &dyn Group, result: Result<T>) -> Result<T> {
    match result {
        Err(_) if !group.leads() => Err(Elsewhere.into()),
        result => result,
    }
}

/// The processes that MPI started this one with, or this one alone.
pub fn group(mpi: bool) -> Result<Box<dyn Group>> {
    match mpi {
        false => Ok(Box::new(Alone)),
        true => ranks(),
    }
}

#[cfg(feature = "mpi")]
fn ranks() -> Result<Box<dyn Group>> {
    Ok(Box::new(super::mpi::World::start()?))
}

#[cfg(not(feature = "mpi"))]
fn ranks() -> Result<Box<dyn Group>> {
    anyhow::bail!("this program was built without MPI: build it with --features mpi (docs/mpi.md), or leave out --mpi")
}
