//! Validation during training: it decides which weights are kept, and is the ELBO of the exported model.

mod common;

use candle_core::Device;
use host_train::data::{self, Split};
use host_train::export::float_spec;
use host_train::progress::Progress;
use host_train::runtime::evaluate::evaluate;
use host_train::runtime::model_file::ModelFile;
use host_train::train::checkpoint::{CHECKPOINT, Run, WEIGHTS};
use host_train::train::config::{Config, Time};
use host_train::train::{LOSSES, Outcome, Session, train};
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// A run of the tiny data with validation rows. Its learning rate is so large that the best weights are not the last.
fn run_with(folder: &Path, change: impl Fn(&mut Config)) -> (Run, Split) {
    let mut config = Config::read(&common::files(folder)).unwrap();
    config.data.validation_rows = 12.into();
    config.train.steps = 300;
    config.train.learning_rate = 0.1;
    config.train.final_fraction = 1.0;
    config.train.validate_every = Some(20);
    change(&mut config);
    let split = data::load(&config.data, folder).unwrap();
    (Run::for_data(config, &split, &Device::Cpu).unwrap(), split)
}

fn train_to(run: &mut Run, split: &Split, folder: &Path, stop_at: Option<u64>) -> Outcome {
    let stop = AtomicBool::new(false);
    let session = Session {
        stop_at,
        ..Session::quiet(folder, &stop)
    };
    train(run, split, &session).unwrap()
}

/// Returns step and validation of each row of the log that has one.
fn logged(folder: &Path) -> Vec<(u64, f64)> {
    let text = std::fs::read_to_string(folder.join(LOSSES)).unwrap();
    let row = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        Some((fields[0].parse().unwrap(), fields[5].parse().ok()?))
    };
    text.lines().skip(1).filter_map(row).collect()
}

fn weights(run: &Run) -> Vec<Vec<f32>> {
    let slots = run.optimizer.slots.iter();
    slots
        .map(|slot| slot.average().unwrap().flatten_all().unwrap().to_vec1().unwrap())
        .collect()
}

#[test]
fn the_best_averages_are_kept_and_not_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let (mut whole, split) = run_with(at, |_| {});
    assert_eq!(train_to(&mut whole, &split, &at.join("whole"), None), Outcome::Finished);
    let rows = logged(&at.join("whole"));
    assert!(rows.iter().map(|row| row.0).eq((20..=300).step_by(20)), "{rows:?}");
    let best = rows.iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    let recorded = whole.validations.best.as_ref().unwrap().validation;
    assert_eq!(recorded.step, best.0);
    assert!((recorded.bits_per_dim - best.1).abs() < 1e-6);
    assert!(best.0 < 300, "the test needs a run whose last weights are not its best");
    assert_eq!(whole.validations.since_best, (300 - best.0) / 20);

    let (mut part, _) = run_with(at, |_| {});
    train_to(&mut part, &split, &at.join("part"), Some(best.0));
    let kept = Run::averaged(&at.join("whole").join(WEIGHTS), &Device::Cpu).unwrap();
    assert_eq!(weights(&kept), weights(&part));
    assert_ne!(weights(&kept), weights(&whole));
    // An unfinished run's checkpoint has them too.
    let kept = Run::averaged(&at.join("whole").join(CHECKPOINT), &Device::Cpu).unwrap();
    assert_eq!(weights(&kept), weights(&part));
}

#[test]
fn patience_ends_training_and_so_does_a_resumed_run() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let (mut run, split) = run_with(at, |config| config.train.patience = Some(2));
    assert_eq!(train_to(&mut run, &split, &at.join("run"), None), Outcome::Finished);
    let best = run.validations.best.as_ref().unwrap().validation.step;
    assert_eq!(run.optimizer.step, best + 40);
    assert!(run.optimizer.step < 300 && at.join("run").join(WEIGHTS).is_file());
    let mut again = Run::resume(&at.join("run").join(CHECKPOINT), &Device::Cpu).unwrap();
    assert!(again.has_ended());
    assert_eq!(train_to(&mut again, &split, &at.join("run"), None), Outcome::Finished);
    assert_eq!(again.optimizer.step, best + 40);
}

/// Compares with the core: the model that is exported, on the same rows, with much more noise.
#[test]
fn a_validation_is_the_elbo_of_the_exported_model() {
    for (time, levels) in [
        (Time::Discrete, Some(5)),
        (Time::Continuous, Some(5)),
        (Time::Discrete, None),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (mut run, split) = run_with(folder.path(), |config| {
            config.train.learning_rate = 3e-3;
            // Only the runtime clips.
            config.model.clip = false;
            config.model.time = time;
            config.data.levels = levels;
        });
        train_to(&mut run, &split, folder.path(), None);
        let found = host_train::export::score::best_validation(&run).unwrap();
        let kept = Run::averaged(folder.path(), &Device::Cpu).unwrap();
        let file = ModelFile::from_bytes(&float_spec(&kept).unwrap().to_bytes().unwrap(), "model".into()).unwrap();
        let exact = evaluate(&file, &split.validation, 400, 1, &Progress::hidden()).unwrap();
        let apart = (found.bits_per_dim - exact.bits_per_dim).abs();
        assert!(apart < 0.03, "{time:?}, {levels:?}: {found:?} {}", exact.bits_per_dim);
        // The log has the same unit.
        let row = logged(folder.path()).into_iter().find(|(step, _)| *step == found.step);
        assert!(
            (row.unwrap().1 - found.bits_per_dim).abs() < 1e-5,
            "{time:?}, {levels:?}"
        );
    }
}

#[test]
fn a_run_without_validation_rows_keeps_its_last_averages() {
    let folder = tempfile::tempdir().unwrap();
    let (mut run, split) = run_with(folder.path(), |config| {
        config.data.validation_rows = 0.into();
        config.train.validate_every = None;
        // Shorter than the distance between two rows of the log.
        config.train.steps = 7;
    });
    train_to(&mut run, &split, folder.path(), None);
    assert!(run.validations.best.is_none() && logged(folder.path()).is_empty());
    let kept = Run::averaged(&folder.path().join(WEIGHTS), &Device::Cpu).unwrap();
    assert_eq!(weights(&kept), weights(&run));
    let log = std::fs::read_to_string(folder.path().join(LOSSES)).unwrap();
    assert_eq!(log.lines().count(), 2);
    assert!(log.lines().last().unwrap().starts_with("7,") && log.ends_with(",\n"));
}
