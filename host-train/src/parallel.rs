//! One run on several processes, *ranks*: each takes its share of every batch, and their gradients are added up.
//!
//! The rows of a batch, their times and their noise are those that one process would draw. Every rank steps the same generator through
//! all of them and computes with its own, so a run does not depend on the number of ranks but for the order of sums, and may be
//! resumed with another.

pub mod exchange;
#[cfg(feature = "mpi")]
pub mod mpi;
pub mod watch;

use crate::checkpoint::Run;
use crate::data::Dataset;
use anyhow::{Result, anyhow, ensure};
use std::hash::{DefaultHasher, Hasher as _};
use watch::Watch;

/// The rows of a batch that one process computes: consecutive ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The first of them.
    pub first: usize,
    /// How many.
    pub rows: usize,
    /// Rows of the whole batch.
    pub of: usize,
}

impl From<usize> for Share {
    /// All of a batch.
    fn from(rows: usize) -> Self {
        Self {
            first: 0,
            rows,
            of: rows,
        }
    }
}

impl Share {
    /// The share of `rank` where `ranks` divide a batch of `of` rows.
    pub fn of_rank(of: usize, rank: usize, ranks: usize) -> Self {
        let begin = |rank: usize| of * rank / ranks.max(1);
        Self {
            first: begin(rank),
            rows: begin(rank + 1) - begin(rank),
            of,
        }
    }

    /// Which part of the batch it is: what a mean over its rows counts in the mean over the batch.
    pub fn fraction(&self) -> f64 {
        self.rows as f64 / self.of as f64
    }

    /// How many of the batch's first `count` rows are in it.
    pub fn among_first(&self, count: usize) -> usize {
        count.saturating_sub(self.first).min(self.rows)
    }
}

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

/// Checks that all ranks begin with the same run and the same data: each has read files of its own.
pub fn check_same_start(group: &dyn Group, run: &Run, data: &Dataset) -> Result<()> {
    let own = fingerprint(run).map(|mut hasher| {
        data.rows.iter().for_each(|v| hasher.write_u32(v.to_bits()));
        hasher.finish()
    });
    check_same(group, own, |rank| {
        format!(
            "rank {rank} has another configuration, checkpoint or data than rank 0: give all of them the same files, on a disk that they share"
        )
    })
}

/// Checks that all ranks still have the same run: each makes its own updates from the same sums.
pub fn check_same_run(group: &dyn Group, run: &Run) -> Result<()> {
    if group.size() == 1 {
        return Ok(());
    }
    let step = run.optimizer.step;
    check_same(group, fingerprint(run).map(|hasher| hasher.finish()), |rank| {
        format!(
            "rank {rank} has other weights than rank 0 at step {step}, which equal machines cannot have: go on with --resume on machines of one kind"
        )
    })
}

fn check_same(group: &dyn Group, own: Result<u64>, sentence: impl Fn(usize) -> String) -> Result<()> {
    let all = group.gather(agreed(group, own)?);
    let differs = all.iter().position(|word| Some(word) != all.first());
    once(group, differs.map_or(Ok(()), |rank| Err(anyhow!(sentence(rank)))))
}

/// Of configuration, generator, weights and moments: a word that differs where they do.
fn fingerprint(run: &Run) -> Result<DefaultHasher> {
    let mut hasher = DefaultHasher::new();
    hasher.write(run.config.to_toml()?.as_bytes());
    hasher.write(serde_json::to_string(&run.rng)?.as_bytes());
    hasher.write_u64(run.optimizer.step);
    for slot in &run.optimizer.slots {
        let values: Vec<f32> = slot.state.flatten_all()?.to_vec1()?;
        values.iter().for_each(|v| hasher.write_u32(v.to_bits()));
    }
    Ok(hasher)
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
    Ok(Box::new(mpi::World::start()?))
}

#[cfg(not(feature = "mpi"))]
fn ranks() -> Result<Box<dyn Group>> {
    anyhow::bail!("this program was built without MPI: build it with --features mpi (docs/mpi.md), or leave out --mpi")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_a_batch_once() {
        for (of, ranks) in [(8, 1), (8, 2), (7, 3), (5, 5), (1000, 7)] {
            let mut next = 0;
            for rank in 0..ranks {
                let share = Share::of_rank(of, rank, ranks);
                assert_eq!((share.first, share.of), (next, of));
                assert!(share.rows >= of / ranks);
                next += share.rows;
            }
            assert_eq!(next, of);
        }
    }

    #[test]
    fn the_first_rows_are_found_in_their_shares() {
        let of = |rank| Share::of_rank(90, rank, 3).among_first(32);
        assert_eq!([of(0), of(1), of(2)], [30, 2, 0]);
        assert_eq!(Share::from(20).among_first(32), 20);
    }
}
