//! Training with infinitely many steps: the gradients are correct, and γ learns to make the estimate vary less.

mod common;

use ancestral::schedule::snr;
use candle_core::{Device, Tensor};
use host_train::data::{self, Split};
use host_train::model::gamma::CurveKind;
use host_train::progress::Progress;
use host_train::rng::TrainRng;
use host_train::study::estimator::{EstimatorSettings, measure_estimates};
use host_train::study::paths::Path as Schedule;
use host_train::train::checkpoint::Run;
use host_train::train::config::{Config, Time};
use host_train::train::loss::{Draws, Dropout, LimitElbo, Objective, TimeDraws};
use host_train::train::{Session, train};
use std::path::Path;
use std::sync::atomic::AtomicBool;

fn trained(folder: &Path, steps: u64, curve: CurveKind) -> (Run, Split) {
    trained_with(folder, steps, curve, |_| {})
}

fn trained_with(folder: &Path, steps: u64, curve: CurveKind, change: impl Fn(&mut Config)) -> (Run, Split) {
    let mut config = Config::read(&common::files(folder)).unwrap();
    change(&mut config);
    config.model.time = Time::Continuous;
    config.model.gamma = curve;
    config.train.steps = steps;
    let split = data::load(&config.data, folder).unwrap();
    let mut run = Run::for_data(config, &split, &Device::Cpu).unwrap();
    let stop = AtomicBool::new(false);
    train(&mut run, &split, &Session::quiet(folder, &stop)).unwrap();
    (run, split)
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn draw(run: &Run, rows: usize, rng: &mut TrainRng) -> TimeDraws {
    Draws::new(
        rows,
        run.dim,
        run.config.model.decoder,
        Dropout::NONE,
        rng,
        &Device::Cpu,
    )
    .unwrap()
}

fn evaluate(run: &Run, split: &Split, draws: &TimeDraws) -> LimitElbo {
    let x: Vec<f32> = (0..draws.times.len())
        .flat_map(|i| split.train.row(i % split.train.len()).to_vec())
        .collect();
    let x = Tensor::from_vec(x, (draws.times.len(), run.dim), &Device::Cpu).unwrap();
    run.objective(split.train.levels()).limit_elbo(&x, draws, 1.0).unwrap()
}

#[test]
fn gradients_are_those_of_the_elbo_and_of_its_scatter() {
    check_gradients(CurveKind::Table, 1, |_| {});
}

#[test]
fn so_are_those_of_a_network_of_gamma() {
    check_gradients(CurveKind::Network, 9, |_| {});
}

#[test]
fn so_are_those_with_the_network_decoder() {
    check_gradients(CurveKind::Table, 1, common::predict_odds);
    check_gradients(CurveKind::Table, 3, common::decode_values);
}

/// Compares gradients with differences, for the ends of γ and every `stride`-th parameter of its curve.
fn check_gradients(curve: CurveKind, stride: usize, change: impl Fn(&mut Config)) {
    let folder = tempfile::tempdir().unwrap();
    let (run, split) = trained_with(folder.path(), 60, curve, change);
    let draws = draw(&run, 256, &mut TrainRng::new(4));
    let here = evaluate(&run, &split, &draws);
    let total = |s: &LimitElbo| s.terms.iter().map(|t| f64::from(*t)).sum::<f64>();
    let mean = f64::from(here.terms[2]);
    // ⟨ℓ²⟩ divided by the square of the unchanged mean.
    let scatter = |s: &LimitElbo| s.spread * (f64::from(s.terms[2]) / mean).powi(2);

    let difference = |var: &candle_core::Var, index: usize, quantity: &dyn Fn(&LimitElbo) -> f64| {
        let before: Vec<f32> = var.flatten_all().unwrap().to_vec1().unwrap();
        let put = |values: Vec<f32>| {
            var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu).unwrap())
                .unwrap();
        };
        let moved_by = |h: f32| {
            let mut moved = before.clone();
            moved[index] += h;
            put(moved);
            let value = quantity(&evaluate(&run, &split, &draws));
            put(before.clone());
            value
        };
        (moved_by(0.01) - moved_by(-0.01)) / 0.02
    };
    let gradient = |var: &candle_core::Var| flat(here.gradients.get(var).unwrap());
    for end in run.gamma.end_parameters() {
        let (found, expected) = (f64::from(gradient(end)[0]), difference(end, 0, &total));
        assert!(
            (found - expected).abs() < 0.02 * expected.abs() + 0.01,
            "{found} {expected}"
        );
    }
    let mut largest = 0.0f64;
    for var in run.gamma.curve_parameters() {
        for (index, found) in gradient(var).iter().enumerate().step_by(stride) {
            let expected = difference(var, index, &scatter);
            largest = largest.max(expected.abs());
            assert!(
                (f64::from(*found) - expected).abs() < 0.02 * expected.abs() + 0.01,
                "{index}: {found} {expected}"
            );
        }
    }
    assert!(largest > 0.05, "gradients of zero prove nothing");
}

/// With the same network and ends, the estimate varies less along a learned γ than along a straight one.
#[test]
fn a_learned_curve_makes_the_estimate_vary_less() {
    let folder = tempfile::tempdir().unwrap();
    let (run, split) = trained(folder.path(), 600, CurveKind::Table);
    let spread = |run: &Run| {
        let mut rng = TrainRng::new(9);
        let one = |_| evaluate(run, &split, &draw(run, 600, &mut rng)).spread;
        (0..20).map(one).sum::<f64>() / 20.0
    };
    let learned = spread(&run);
    let gamma: Vec<f32> = run.gamma.values().unwrap().to_vec1().unwrap();
    let (first, last) = (f64::from(gamma[0]), f64::from(gamma[gamma.len() - 1]));
    let steps = gamma.len() - 1;
    let even: Vec<f64> = (0..=steps)
        .map(|t| first + (last - first) * t as f64 / steps as f64)
        .collect();
    run.gamma.set(&even).unwrap();
    let straight = spread(&run);
    assert!(learned < 0.9 * straight, "{learned} {straight}");
}

/// The expected loss is an integral over γ, so it does not depend on the curve.
#[test]
fn the_curve_does_not_change_the_loss() {
    let folder = tempfile::tempdir().unwrap();
    let (run, split) = trained(folder.path(), 300, CurveKind::Table);
    let mean = |run: &Run| {
        let mut rng = TrainRng::new(5);
        let one = |_| f64::from(evaluate(run, &split, &draw(run, 600, &mut rng)).terms[2]);
        let values: Vec<f64> = (0..100).map(one).collect();
        let mean = values.iter().sum::<f64>() / 100.0;
        let error = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>()).sqrt() / 100.0;
        (mean, error)
    };
    let (learned, a) = mean(&run);
    let gamma: Vec<f32> = run.gamma.values().unwrap().to_vec1().unwrap();
    let (first, last) = (f64::from(gamma[0]), f64::from(gamma[gamma.len() - 1]));
    assert!(snr(first) > snr(last));
    let steps = gamma.len() - 1;
    let bent: Vec<f64> = (0..=steps)
        .map(|t| first + (last - first) * (t as f64 / steps as f64).powf(1.5))
        .collect();
    run.gamma.set(&bent).unwrap();
    let (other, b) = mean(&run);
    let error = a.hypot(b);
    assert!((learned - other).abs() < 4.0 * error, "{learned} {other} ± {error}");
    assert!(error < 0.03 * learned, "the test is too loose: {error} of {learned}");
}

/// In the limit all schedules have the same mean. The learned curve, table or network, varies least.
#[test]
fn the_measured_estimate_varies_least_along_the_learned_curve() {
    for curve in [CurveKind::Table, CurveKind::Network] {
        let folder = tempfile::tempdir().unwrap();
        let (run, split) = trained(folder.path(), 800, curve);
        run.optimizer.show_average().unwrap();
        let settings = EstimatorSettings {
            draws: 400,
            batches: 200,
            ..EstimatorSettings::default()
        };
        let found = measure_estimates(&run, &split.train, &settings, &Progress::hidden()).unwrap();
        let find = |schedule: Schedule, steps: Option<usize>| {
            let mut one = found.iter().filter(|e| e.schedule == schedule && e.steps == steps);
            one.next().unwrap().clone()
        };
        let (even, learned) = (find(Schedule::Even, None), find(Schedule::Learned, None));
        let samples = (split.train.len() * settings.draws) as f64;
        for other in [find(Schedule::Cosine, None), learned.clone()] {
            let error = (even.deviation.powi(2) + other.deviation.powi(2)).sqrt() / samples.sqrt();
            let apart = (even.mean - other.mean).abs();
            assert!(
                apart < 4.0 * error + 1e-3 * even.mean,
                "{curve:?}: {even:?} {other:?} ± {error}"
            );
        }
        assert!(
            learned.deviation < 0.95 * even.deviation,
            "{curve:?}: {learned:?} {even:?}"
        );

        // The rows of a batch have their own times and noise. So its mean varies less than a row by the root of their
        // number, and stratified times make it vary less still. The differences between rows are added.
        let batch = run.config.train.batch as f64;
        assert!(even.batch_deviation < even.deviation / batch.sqrt(), "{even:?}");
        assert!(
            learned.batch_deviation < even.batch_deviation,
            "{curve:?}: {learned:?} {even:?}"
        );

        // With T steps, the mean is that of the loss that the chain is trained by.
        let chain = find(Schedule::Learned, Some(run.gamma.steps()));
        let mean = chain_mean(&run, &split);
        assert!((mean - chain.mean).abs() < 0.02 * mean, "{curve:?}: {mean} {chain:?}");
    }
}

/// Returns the mean diffusion term of the chain in bits per dimension, from batches as training draws them.
fn chain_mean(run: &Run, split: &Split) -> f64 {
    let mut rng = TrainRng::new(2);
    let (rounds, n) = (200, 480);
    let objective = Objective {
        variance: None,
        ..run.objective(split.train.levels())
    };
    let mut sum = 0.0;
    for _ in 0..rounds {
        let rows: Vec<usize> = (0..n).map(|_| rng.below(split.train.len())).collect();
        let x = Tensor::from_vec(split.train.select(&rows).rows, (n, run.dim), &Device::Cpu).unwrap();
        let draws = draw(run, n, &mut rng).in_steps(run.gamma.steps());
        sum += f64::from(objective.elbo(&x, &draws).unwrap().values().unwrap()[2]);
    }
    sum / f64::from(rounds) / (run.dim as f64 * std::f64::consts::LN_2)
}

/// A batch of a run whose network decodes has fewer rows for the diffusion term.
#[test]
fn the_measured_batches_are_those_of_training() {
    let folder = tempfile::tempdir().unwrap();
    let (run, split) = trained_with(folder.path(), 60, CurveKind::Table, common::predict_odds);
    let settings = EstimatorSettings {
        rows: 10,
        draws: 2,
        batches: 100,
        seed: 5,
    };
    let found = measure_estimates(&run, &split.train, &settings, &Progress::hidden()).unwrap();
    let mut rng = TrainRng::new(settings.seed);
    let n = run.config.train.batch;
    let mut nats = [Vec::new(), Vec::new()];
    for _ in 0..settings.batches {
        let x = Tensor::from_vec(split.train.draw(n, &mut rng), (n, run.dim), &Device::Cpu).unwrap();
        let draws = draw(&run, n, &mut rng);
        let objective = run.objective(split.train.levels());
        nats[0].push(objective.limit_elbo(&x, &draws, 1.0).unwrap().terms[2]);
        let draws = draws.in_steps(run.gamma.steps());
        nats[1].push(objective.elbo(&x, &draws).unwrap().values().unwrap()[2]);
    }
    for (nats, steps) in nats.iter().zip([None, Some(run.gamma.steps())]) {
        let mean = nats.iter().map(|v| f64::from(*v)).sum::<f64>() / nats.len() as f64;
        let squares: f64 = nats.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum();
        let expected = (squares / (nats.len() - 1) as f64).sqrt() / (run.dim as f64 * std::f64::consts::LN_2);
        let mut learned = found
            .iter()
            .filter(|e| e.schedule == Schedule::Learned && e.steps == steps);
        let estimate = learned.next().unwrap();
        assert!(
            (estimate.batch_deviation / expected - 1.0).abs() < 1e-3,
            "{expected} {estimate:?}"
        );
    }
}
