//! A hundred steps of training.

use crate::common;
use candle_core::{Device, Tensor};
use host_train::data::{self, Split};
use host_train::fused::adamw::Adam;
use host_train::model::variance::VarianceKind;
use host_train::optimizer::Update;
use host_train::rng::{Counter, RandomSource};
use host_train::train::checkpoint::{CHECKPOINT, Run};
use host_train::train::config::{Config, Generator, PredictionKind};
use host_train::train::loss::{ChainDraws, Draws, Dropout};
use host_train::train::{LOSSES, Session, train};
use std::sync::atomic::AtomicBool;

/// The rows of the next step and everything random.
fn draw(run: &mut Run, split: &Split) -> (Tensor, ChainDraws) {
    let config = run.config.clone();
    let batch = config.train.batch;
    let mut counter = Counter {
        seed: config.seed,
        step: run.optimizer.step,
    };
    let counted = config.train.generator == Generator::Counter;
    let chosen: Vec<usize> = match counted {
        true => counter.below(split.train.len(), batch),
        false => (0..batch).map(|_| run.rng.below(split.train.len())).collect(),
    };
    let rows: Vec<f32> = chosen.iter().flat_map(|&row| split.train.row(row).to_vec()).collect();
    let x = Tensor::from_vec(rows, (batch, run.dim), &Device::Cpu).unwrap();
    let dropout = Dropout {
        probability: config.train.dropout,
        hidden: &config.model.hidden,
    };
    let source: &mut dyn RandomSource = if counted { &mut counter } else { &mut run.rng };
    let draws = Draws::new(batch, run.dim, config.model.decoder, dropout, source, &Device::Cpu).unwrap();
    (x, draws.in_steps(run.gamma.steps()))
}

/// Trains by candle's own operations; returns the loss of each step.
fn plain_losses(run: &mut Run, split: &Split) -> Vec<f64> {
    let config = run.config.clone();
    let unit = 1.0 / (run.dim as f64 * std::f64::consts::LN_2);
    let mut losses = Vec::new();
    for _ in 0..config.train.steps {
        let (x, draws) = draw(run, split);
        let terms = run.objective(split.train.levels()).elbo_plain(&x, &draws).unwrap();
        let nats: f64 = terms.values().unwrap().iter().map(|v| f64::from(*v)).sum();
        // The log is in the units of the data.
        losses.push(nats * unit + run.kind.bits_of_scale());
        let gradients = terms.total().unwrap().affine(unit, 0.0).unwrap().backward().unwrap();
        let update = Update {
            rate: config.train.learning_rate,
            decay: config.train.weight_decay,
            clip_norm: config.train.clip_norm,
            ema: config.train.ema,
            adam: Adam {
                beta_1: config.train.beta_1,
                beta_2: config.train.beta_2,
                epsilon: config.train.epsilon,
            },
        };
        run.optimizer.update(&gradients, update).unwrap();
    }
    losses
}

fn a_hundred_steps(change: impl Fn(&mut Config)) {
    hundred_steps_on(&Device::Cpu, 1e-5, change);
}

/// Fails unless the losses of a hundred steps on a device agree with candle's on the CPU within a share.
pub fn hundred_steps_on(device: &Device, share: f64, change: impl Fn(&mut Config)) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::read(&common::files(folder.path())).unwrap();
    config.train.steps = 100;
    config.train.log_every = 1;
    // A constant learning rate, so that the loop above need not compute it.
    config.train.warmup = 0;
    config.train.final_fraction = 1.0;
    change(&mut config);
    let split = data::load(&config.data, folder.path()).unwrap();
    let new = |device: &Device| Run::for_data(config.clone(), &split, device).unwrap();
    let plain = plain_losses(&mut new(&Device::Cpu), &split);
    let mut run = new(device);
    let stop = AtomicBool::new(false);
    train(&mut run, &split, &Session::quiet(folder.path(), &stop)).unwrap();
    let log = std::fs::read_to_string(folder.path().join(LOSSES)).unwrap();
    let fused: Vec<f64> = log
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(1).unwrap().parse().unwrap())
        .collect();
    assert_eq!(fused.len(), 100);
    for (step, (fused, plain)) in fused.iter().zip(&plain).enumerate() {
        assert!(
            (fused - plain).abs() <= share * plain.abs(),
            "step {}: {fused} instead of {plain}",
            step + 1
        );
    }
    assert!(plain[99] < plain[0], "nothing was learned");
}

#[test]
fn a_hundred_steps_of_training_have_candles_loss() {
    a_hundred_steps(|_| {});
    a_hundred_steps(|config| {
        config.model.hidden = vec![64, 64, 64];
        config.train.batch = 200;
        config.train.dropout = 0.1;
    });
    a_hundred_steps(|config| {
        config.model.prediction = PredictionKind::X;
        config.model.variance = Some(VarianceKind::Rotated);
    });
    a_hundred_steps(|config| {
        config.train.generator = Generator::Counter;
        config.train.dropout = 0.1;
    });
}

#[test]
fn a_hundred_steps_with_the_network_decoder_have_candles_loss() {
    a_hundred_steps(common::predict_odds);
    a_hundred_steps(|config| {
        common::predict_odds(config);
        config.model.variance = Some(VarianceKind::Calibrated);
        config.train.generator = Generator::Counter;
        config.train.dropout = 0.1;
    });
    a_hundred_steps(common::decode_values);
    a_hundred_steps(|config| {
        common::decode_values(config);
        config.model.variance = Some(VarianceKind::Rotated);
        config.model.steps = 2;
    });
}

#[test]
fn divergence_is_detected_and_the_checkpoint_is_whole() {
    diverges_on(&Device::Cpu);
}

/// A run that diverges names the step, and its last checkpoint can be resumed.
pub fn diverges_on(device: &Device) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::read(&common::files(folder.path())).unwrap();
    config.train.generator = Generator::Counter;
    config.train.learning_rate = 1e30;
    config.train.warmup = 0;
    let split = data::load(&config.data, folder.path()).unwrap();
    let mut run = Run::for_data(config, &split, device).unwrap();
    let stop = AtomicBool::new(false);
    let error = train(&mut run, &split, &Session::quiet(folder.path(), &stop)).unwrap_err();
    assert!(error.to_string().contains("not finite at step"), "{error}");
    let again = Run::resume(&folder.path().join(CHECKPOINT), device).unwrap();
    assert_eq!(again.optimizer.step, 0);
}
