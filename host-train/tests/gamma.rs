//! γ stays a table that can be exported, however long and fast it is learned.

mod common;

use ancestral::schedule::Schedule;
use candle_core::Device;
use host_train::data;
use host_train::export::float_spec;
use host_train::model::gamma::CurveKind;
use host_train::train::checkpoint::Run;
use host_train::train::config::{Config, Time};
use host_train::train::{LOSSES, Session, train};
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// Trains and returns γ as training and averages have it, and the last total of the log.
fn learn(folder: &Path, change: impl Fn(&mut Config)) -> ([Vec<f32>; 2], f64) {
    let mut config = Config::read(&common::files(folder)).unwrap();
    config.train.final_fraction = 1.0;
    change(&mut config);
    let split = data::load(&config.data, folder).unwrap();
    let mut run = Run::for_data(config, &split, &Device::Cpu).unwrap();
    let stop = AtomicBool::new(false);
    train(&mut run, &split, &Session::quiet(folder, &stop)).unwrap();
    let gamma = |run: &Run| run.gamma.values().unwrap().to_vec1().unwrap();
    let last = gamma(&run);
    run.optimizer.show_average().unwrap();
    float_spec(&run).unwrap().to_bytes().unwrap();
    let log = std::fs::read_to_string(folder.join(LOSSES)).unwrap();
    let total = log.lines().last().unwrap().split(',').nth(1).unwrap().parse().unwrap();
    ([last, gamma(&run)], total)
}

/// A table learned this fast gives one piece nearly all of its span, so some batches hardly see the diffusion term.
#[test]
fn a_long_run_in_continuous_time_ends_in_a_table_that_can_be_exported() {
    let cases = [
        (CurveKind::Table, false, 1),
        (CurveKind::Table, true, 1),
        (CurveKind::Table, true, 3),
        (CurveKind::Network, false, 3),
        (CurveKind::Network, true, 13),
    ];
    for (curve, odds, seed) in cases {
        let folder = tempfile::tempdir().unwrap();
        let (tables, _) = learn(folder.path(), |config| {
            if odds {
                common::predict_odds(config);
            }
            config.seed = seed;
            config.model.time = Time::Continuous;
            config.model.gamma = curve;
            config.model.steps = 64;
            config.train.steps = 1500;
            config.train.gamma_learning_rate = 0.3;
        });
        for gamma in tables {
            assert!(Schedule::new(&gamma).is_ok(), "{curve:?}: {gamma:?}");
            assert!(gamma[64] <= 16.0, "{curve:?}: {gamma:?}");
        }
    }
}

#[test]
fn the_ends_of_a_single_step_cannot_cross() {
    let folder = tempfile::tempdir().unwrap();
    let (tables, total) = learn(folder.path(), |config| {
        config.model.steps = 1;
        config.train.steps = 1500;
        config.train.gamma_learning_rate = 1.0;
    });
    for gamma in tables {
        assert!(gamma[1] - gamma[0] > 0.99, "{gamma:?}");
    }
    assert!((0.5..5.0).contains(&total), "{total}");
}

/// The columns of this data follow from each other, so its density is unbounded and γ_0 falls as long as it may.
#[test]
fn continuous_data_keeps_the_ends_of_gamma_within_their_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let (tables, total) = learn(folder.path(), |config| {
        config.data.levels = None;
        config.model.clip = false;
        config.train.steps = 1500;
        config.train.gamma_learning_rate = 0.1;
    });
    for gamma in tables {
        assert!(gamma[0] > -13.01 && gamma[8] > 6.21, "{gamma:?}");
    }
    assert!(total.is_finite());
}
