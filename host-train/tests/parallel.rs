//! A run divided among ranks is the run of one process up to the order of sums. Ranks are threads here; `mpi.rs` has processes.

mod common;

use anyhow::Error;
use candle_core::Device;
use host_train::data::{self, Split};
use host_train::parallel::{Elsewhere, Group};
use host_train::train::checkpoint::{CHECKPOINT, Run};
use host_train::train::config::{Config, Time};
use host_train::train::same::check_same_start;
use host_train::train::{Outcome, train, train_among};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Barrier, Mutex};

/// What the ranks have laid down for one another.
struct Table {
    barrier: Barrier,
    values: Vec<Mutex<Vec<f32>>>,
    words: Vec<Mutex<u64>>,
}

/// One of them.
struct Rank<'a> {
    rank: usize,
    table: &'a Table,
}

impl Group for Rank<'_> {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.table.values.len()
    }

    fn sum(&self, values: &mut [f32]) {
        *self.table.values[self.rank].lock().unwrap() = values.to_vec();
        self.wait();
        values.fill(0.0);
        for other in &self.table.values {
            let other = other.lock().unwrap();
            values.iter_mut().zip(&*other).for_each(|(sum, value)| *sum += value);
        }
        self.wait();
    }

    fn gather(&self, word: u64) -> Vec<u64> {
        *self.table.words[self.rank].lock().unwrap() = word;
        self.wait();
        let all = self.table.words.iter().map(|word| *word.lock().unwrap()).collect();
        self.wait();
        all
    }

    fn wait(&self) {
        self.table.barrier.wait();
    }
}

/// What every rank makes of its part, in their order.
fn on_ranks<T: Send>(ranks: usize, part: impl Fn(&Rank) -> T + Sync) -> Vec<T> {
    let table = Table {
        barrier: Barrier::new(ranks),
        values: (0..ranks).map(|_| Mutex::default()).collect(),
        words: (0..ranks).map(|_| Mutex::default()).collect(),
    };
    let (table, part) = (&table, &part);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..ranks)
            .map(|rank| scope.spawn(move || part(&Rank { rank, table })))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// A batch whose first 32 rows, those that the reconstruction is computed from, are on both of two ranks and on two of three.
const BATCH: usize = 50;

fn config(folder: &Path, time: Time) -> Config {
    let mut config = Config::read(&common::files(folder)).unwrap();
    config.train.batch = BATCH;
    config.train.dropout = 0.1;
    config.model.time = time;
    config
}

fn begun(config: &Config, folder: &Path) -> (Run, Split) {
    let split = data::load(&config.data, folder).unwrap();
    (Run::for_data(config.clone(), &split, &Device::Cpu).unwrap(), split)
}

/// Trains up to a step on so many ranks and returns every rank's run.
fn among(ranks: usize, config: &Config, folder: &Path, stop_at: Option<u64>) -> Vec<Run> {
    on_ranks(ranks, |group| {
        let (mut run, split) = begun(config, folder);
        let out = folder.join(format!("on-{ranks}"));
        train_among(
            group,
            &mut run,
            &split.train,
            &out,
            &AtomicBool::new(false),
            stop_at,
            true,
        )
        .unwrap();
        run
    })
}

fn alone(config: &Config, folder: &Path, stop_at: Option<u64>) -> Run {
    let (mut run, split) = begun(config, folder);
    let stop = AtomicBool::new(false);
    train(&mut run, &split.train, &folder.join("alone"), &stop, stop_at, true).unwrap();
    run
}

/// The largest difference of a row of the optimiser's state (0 for the values, 1 for the first moments), by that row's largest value.
fn difference(a: &Run, b: &Run, row: usize) -> f32 {
    let of = |run: &Run, i: usize| run.optimizer.slots[i].state.get(row).unwrap().to_vec1::<f32>().unwrap();
    let mut worst = 0.0f32;
    for i in 0..a.optimizer.slots.len() {
        let (x, y) = (of(a, i), of(b, i));
        let scale = x.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        let apart = x.iter().zip(&y).fold(0.0f32, |m, (x, y)| m.max((x - y).abs()));
        if apart > 0.0 {
            worst = worst.max(apart / scale);
        }
    }
    worst
}

fn bits(run: &Run) -> Vec<u32> {
    let states = run.optimizer.slots.iter();
    states
        .flat_map(|s| s.state.flatten_all().unwrap().to_vec1::<f32>().unwrap())
        .map(f32::to_bits)
        .collect()
}

/// One step: the first moments are the gradients, and they differ by rounding alone. Forty steps: AdamW divides by the root of the second
/// moment, which makes much of small differences.
fn shared_is_alone(time: Time) {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), time);
    for ranks in [2, 3] {
        for (steps, row, allowed) in [(1, 1, 1e-5), (40, 0, 5e-3)] {
            let one = alone(&config, folder.path(), Some(steps));
            let many = among(ranks, &config, folder.path(), Some(steps));
            assert!(bits(&one).iter().any(|b| *b != 0));
            for run in &many {
                assert_eq!((run.optimizer.step, &run.rng), (one.optimizer.step, &one.rng));
                assert_eq!(bits(run), bits(&many[0]), "ranks have different weights");
                let found = difference(&one, run, row);
                assert!(found < allowed, "{time:?}, {ranks} ranks, {steps} steps: {found}");
                // The sums that the loss log is made of.
                for (a, b) in one.pending.0.iter().zip(run.pending.0) {
                    assert!((a - b).abs() <= 1e-5 * a.abs(), "{:?} {:?}", one.pending, run.pending);
                }
            }
        }
    }
}

#[test]
fn a_shared_batch_gives_the_gradients_of_one_process() {
    shared_is_alone(Time::Discrete);
}

#[test]
fn a_shared_batch_gives_the_gradients_of_one_process_in_continuous_time() {
    shared_is_alone(Time::Continuous);
}

#[test]
fn a_run_may_go_on_with_another_number_of_ranks() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), Time::Discrete);
    among(3, &config, folder.path(), Some(13));
    let mut part = Run::resume(&folder.path().join("on-3").join(CHECKPOINT), &Device::Cpu).unwrap();
    let (_, split) = begun(&config, folder.path());
    let stop = AtomicBool::new(false);
    let outcome = train(&mut part, &split.train, &folder.path().join("on-3"), &stop, None, true).unwrap();
    assert_eq!(outcome, Outcome::Finished);
    let whole = alone(&config, folder.path(), None);
    let found = difference(&whole, &part, 0);
    assert!(found < 5e-3, "{found}");
}

#[test]
fn one_rank_that_is_told_to_stop_stops_all() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), Time::Discrete);
    let runs = on_ranks(3, |group| {
        let (mut run, split) = begun(&config, folder.path());
        let stop = AtomicBool::new(group.rank == 1);
        let outcome = train_among(group, &mut run, &split.train, folder.path(), &stop, None, true).unwrap();
        (outcome, run.optimizer.step)
    });
    assert_eq!(runs, [(Outcome::Interrupted, 0); 3]);
}

fn failed(result: anyhow::Result<()>) -> Error {
    result.expect_err("it did not fail")
}

#[test]
fn what_fails_on_one_rank_ends_all_and_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), Time::Discrete);
    // The first rank cannot write: a file is where the folder should be.
    let blocked = folder.path().join("blocked");
    std::fs::write(&blocked, "").unwrap();
    let errors = on_ranks(2, |group| {
        let (mut run, split) = begun(&config, folder.path());
        let stop = AtomicBool::new(false);
        failed(train_among(group, &mut run, &split.train, &blocked.join("run"), &stop, None, true).map(drop))
    });
    assert!(
        format!("{:#}", errors[0]).contains("cannot make the folder"),
        "{:#}",
        errors[0]
    );
    assert!(errors[1].is::<Elsewhere>());

    // In the midst of training: the last rank has rows of another width.
    let errors = on_ranks(3, |group| {
        let (mut run, mut split) = begun(&config, folder.path());
        if group.rank == 2 {
            split.train.dim = 2;
        }
        let out = folder.path().join("midst");
        failed(train_among(group, &mut run, &split.train, &out, &AtomicBool::new(false), None, true).map(drop))
    });
    assert_eq!(errors.iter().filter(|e| e.is::<Elsewhere>()).count(), 2);
    assert!(!errors[2].is::<Elsewhere>());
    let kept = Run::resume(&folder.path().join("midst").join(CHECKPOINT), &Device::Cpu).unwrap();
    assert_eq!(kept.optimizer.step, 0);
}

#[test]
fn ranks_with_other_data_or_without_rows_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path(), Time::Discrete);
    let errors = on_ranks(2, |group| {
        let (run, mut split) = begun(&config, folder.path());
        if group.rank == 1 {
            split.train.rows[7] += 0.5;
        }
        failed(check_same_start(group, &run, &split.train))
    });
    assert!(
        errors[0].to_string().contains("rank 1 has another configuration"),
        "{}",
        errors[0]
    );

    config.train.batch = 2;
    let errors = on_ranks(3, |group| {
        let (mut run, split) = begun(&config, folder.path());
        let stop = AtomicBool::new(false);
        failed(train_among(group, &mut run, &split.train, folder.path(), &stop, None, true).map(drop))
    });
    assert!(
        errors[0].to_string().contains("train.batch is 2 and there are 3 ranks"),
        "{}",
        errors[0]
    );
}
