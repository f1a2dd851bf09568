//! A run divided among ranks equals the run of one process up to the order of sums. The ranks are threads here;
//! `mpi.rs` has processes.

mod common;

use anyhow::Error;
use candle_core::Device;
use host_train::data::{self, Split};
use host_train::parallel::{Group, ReportedByOtherRank};
use host_train::train::checkpoint::{CHECKPOINT, Run};
use host_train::train::config::{Config, Time};
use host_train::train::same::check_same_start;
use host_train::train::{Outcome, Session, train};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Barrier, Mutex};

/// Memory in which the ranks leave values for one another.
struct Table {
    barrier: Barrier,
    values: Vec<Mutex<Vec<f32>>>,
    words: Vec<Mutex<u64>>,
}

/// One rank.
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

/// Runs `part` on every rank and returns the results in their order.
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

/// Rows of a batch. The first 32, which the reconstruction uses, are on both of two ranks and on two of three.
const BATCH: usize = 50;

fn config(folder: &Path, time: Time) -> Config {
    let mut config = Config::read(&common::files(folder)).unwrap();
    config.train.batch = BATCH;
    config.train.dropout = 0.1;
    config.model.time = time;
    config.data.validation_rows = 10.into();
    config.train.validate_every = Some(5);
    config
}

fn start_run(config: &Config, folder: &Path) -> (Run, Split) {
    let split = data::load(&config.data, folder).unwrap();
    (Run::for_data(config.clone(), &split, &Device::Cpu).unwrap(), split)
}

/// Trains a run within a group and returns what training returns.
fn train_in(group: &dyn Group, run: &mut Run, split: &Split, folder: &Path) -> anyhow::Result<Outcome> {
    let stop = AtomicBool::new(false);
    let session = Session {
        group,
        ..Session::quiet(folder, &stop)
    };
    train(run, split, &session)
}

/// Trains up to a step on several ranks and returns every rank's run.
fn train_on_ranks(ranks: usize, config: &Config, folder: &Path, stop_at: Option<u64>) -> Vec<Run> {
    on_ranks(ranks, |group| {
        let (mut run, split) = start_run(config, folder);
        let (out, stop) = (folder.join(format!("on-{ranks}")), AtomicBool::new(false));
        let session = Session {
            group,
            stop_at,
            ..Session::quiet(&out, &stop)
        };
        train(&mut run, &split, &session).unwrap();
        run
    })
}

fn train_alone(config: &Config, folder: &Path, stop_at: Option<u64>) -> Run {
    let (mut run, split) = start_run(config, folder);
    let (out, stop) = (folder.join("alone"), AtomicBool::new(false));
    let session = Session {
        stop_at,
        ..Session::quiet(&out, &stop)
    };
    train(&mut run, &split, &session).unwrap();
    run
}

/// Returns the largest difference in a row of the optimizer's state, divided by that row's largest value. Row 0 holds
/// the values, row 1 the first moments.
fn difference(a: &Run, b: &Run, row: usize) -> f32 {
    let state = |run: &Run, i: usize| run.optimizer.slots[i].state.get(row).unwrap().to_vec1::<f32>().unwrap();
    let mut worst = 0.0f32;
    for i in 0..a.optimizer.slots.len() {
        let (x, y) = (state(a, i), state(b, i));
        let scale = x.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        let apart = x.iter().zip(&y).fold(0.0f32, |m, (x, y)| m.max((x - y).abs()));
        if apart > 0.0 {
            worst = worst.max(apart / scale);
        }
    }
    worst
}

/// Returns step and bits per dimension of the weights that a run keeps.
fn best(run: &Run) -> Option<(u64, f64)> {
    let best = run.validations.best.as_ref()?.validation;
    Some((best.step, best.bits_per_dim))
}

fn bits(run: &Run) -> Vec<u32> {
    let states = run.optimizer.slots.iter();
    states
        .flat_map(|s| s.state.flatten_all().unwrap().to_vec1::<f32>().unwrap())
        .map(f32::to_bits)
        .collect()
}

/// Compares several ranks with one process. After one step the first moments are the gradients, which differ only by
/// rounding. After forty steps AdamW, which divides by the root of the second moment, has amplified the differences.
fn compare_shared_with_single(time: Time, change: impl Fn(&mut Config)) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path(), time);
    change(&mut config);
    for ranks in [2, 3] {
        for (steps, row, allowed) in [(1, 1, 1e-5), (40, 0, 5e-3)] {
            let one = train_alone(&config, folder.path(), Some(steps));
            let many = train_on_ranks(ranks, &config, folder.path(), Some(steps));
            assert!(bits(&one).iter().any(|b| *b != 0));
            for run in &many {
                assert_eq!((run.optimizer.step, &run.rng), (one.optimizer.step, &one.rng));
                assert_eq!(bits(run), bits(&many[0]), "ranks have different weights");
                assert_eq!(best(run), best(&many[0]), "ranks keep different weights");
                if let (Some((_, one)), Some((_, many))) = (best(&one), best(run)) {
                    assert!((one - many).abs() < 1e-2 * one.abs(), "{one} {many}");
                }
                let found = difference(&one, run, row);
                assert!(found < allowed, "{time:?}, {ranks} ranks, {steps} steps: {found}");
                // The sums for the loss log.
                for (a, b) in one.pending.sums.iter().zip(run.pending.sums) {
                    assert!((a - b).abs() <= 1e-5 * a.abs(), "{:?} {:?}", one.pending, run.pending);
                }
            }
        }
    }
}

#[test]
fn a_shared_batch_gives_the_gradients_of_one_process() {
    compare_shared_with_single(Time::Discrete, |_| {});
    compare_shared_with_single(Time::Discrete, common::predict_odds);
}

#[test]
fn a_shared_batch_gives_the_gradients_of_one_process_in_continuous_time() {
    // With the clip, the gradient of γ_T nearly vanishes, so that rounding is a large part of it.
    compare_shared_with_single(Time::Continuous, |config| config.model.clip = false);
    compare_shared_with_single(Time::Continuous, common::predict_odds);
}

#[test]
fn a_run_may_go_on_with_another_number_of_ranks() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), Time::Discrete);
    train_on_ranks(3, &config, folder.path(), Some(13));
    let mut part = Run::resume(&folder.path().join("on-3").join(CHECKPOINT), &Device::Cpu).unwrap();
    let (_, split) = start_run(&config, folder.path());
    let (out, stop) = (folder.path().join("on-3"), AtomicBool::new(false));
    let outcome = train(&mut part, &split, &Session::quiet(&out, &stop)).unwrap();
    assert_eq!(outcome, Outcome::Finished);
    let whole = train_alone(&config, folder.path(), None);
    let found = difference(&whole, &part, 0);
    assert!(found < 5e-3, "{found}");
    assert!(best(&part).is_some());
}

#[test]
fn one_rank_that_is_asked_to_stop_stops_all() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), Time::Discrete);
    let runs = on_ranks(3, |group| {
        let (mut run, split) = start_run(&config, folder.path());
        let stop = AtomicBool::new(group.rank == 1);
        let session = Session {
            group,
            ..Session::quiet(folder.path(), &stop)
        };
        let outcome = train(&mut run, &split, &session).unwrap();
        (outcome, run.optimizer.step)
    });
    assert_eq!(runs, [(Outcome::Interrupted, 0); 3]);
}

fn failed(result: anyhow::Result<()>) -> Error {
    result.expect_err("it did not fail")
}

#[test]
fn an_error_on_one_rank_ends_all_and_is_reported_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), Time::Discrete);
    // The first rank cannot write: a file is where the folder should be.
    let blocked = folder.path().join("blocked");
    std::fs::write(&blocked, "").unwrap();
    let errors = on_ranks(2, |group| {
        let (mut run, split) = start_run(&config, folder.path());
        failed(train_in(group, &mut run, &split, &blocked.join("run")).map(drop))
    });
    assert!(
        format!("{:#}", errors[0]).contains("cannot make the folder"),
        "{:#}",
        errors[0]
    );
    assert!(errors[1].is::<ReportedByOtherRank>());

    // An error during training: the last rank has rows of another width.
    let errors = on_ranks(3, |group| {
        let (mut run, mut split) = start_run(&config, folder.path());
        if group.rank == 2 {
            split.train.dim = 2;
        }
        let out = folder.path().join("midst");
        failed(train_in(group, &mut run, &split, &out).map(drop))
    });
    assert_eq!(errors.iter().filter(|e| e.is::<ReportedByOtherRank>()).count(), 2);
    assert!(!errors[2].is::<ReportedByOtherRank>());
    let kept = Run::resume(&folder.path().join("midst").join(CHECKPOINT), &Device::Cpu).unwrap();
    assert_eq!(kept.optimizer.step, 0);
}

#[test]
fn ranks_with_other_data_or_without_rows_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path(), Time::Discrete);
    let errors = on_ranks(2, |group| {
        let (run, mut split) = start_run(&config, folder.path());
        if group.rank == 1 {
            split.train.rows[7] += 0.5;
        }
        failed(check_same_start(group, &run, &split))
    });
    assert!(
        errors[0].to_string().contains("rank 1 has another configuration"),
        "{}",
        errors[0]
    );

    config.train.batch = 2;
    let errors = on_ranks(3, |group| {
        let (mut run, split) = start_run(&config, folder.path());
        failed(train_in(group, &mut run, &split, folder.path()).map(drop))
    });
    assert!(
        errors[0].to_string().contains("train.batch is 2 and there are 3 ranks"),
        "{}",
        errors[0]
    );
}
