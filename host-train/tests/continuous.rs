//! Training with infinitely many steps: the gradients are those of what they claim to be, and γ learns to vary less.

mod common;

use ancestral::schedule::snr;
use candle_core::{Device, Tensor};
use host_train::data::{self, Split};
use host_train::model::gamma::CourseKind;
use host_train::progress::Progress;
use host_train::rng::TrainRng;
use host_train::study::estimator::{EstimatorSettings, measure_estimates};
use host_train::study::paths::Path as Schedule;
use host_train::train::checkpoint::Run;
use host_train::train::config::{Config, Time};
use host_train::train::loss;
use host_train::train::loss::continuous::{Draws, Step, step};
use host_train::train::train;
use std::path::Path;
use std::sync::atomic::AtomicBool;

fn trained(folder: &Path, steps: u64, course: CourseKind) -> (Run, Split) {
    let mut config = Config::read(&common::files(folder)).unwrap();
    config.model.time = Time::Continuous;
    config.model.gamma = course;
    config.train.steps = steps;
    let split = data::load(&config.data, folder).unwrap();
    let mut run = Run::for_data(config, &split, &Device::Cpu).unwrap();
    let stop = AtomicBool::new(false);
    train(&mut run, &split.train, folder, &stop, None, true).unwrap();
    (run, split)
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn evaluate(run: &Run, split: &Split, draws: &Draws) -> Step {
    let x: Vec<f32> = (0..draws.times.len())
        .flat_map(|i| split.train.row(i % split.train.len()).to_vec())
        .collect();
    let x = Tensor::from_vec(x, (draws.times.len(), run.dim), &Device::Cpu).unwrap();
    let prediction = run.config.model.prediction;
    step(
        &run.network,
        &run.gamma,
        prediction,
        split.train.levels(),
        &x,
        draws,
        1.0,
    )
    .unwrap()
}

#[test]
fn gradients_are_those_of_the_elbo_and_of_its_scatter() {
    check_gradients(CourseKind::Table, 1);
}

#[test]
fn so_are_those_of_a_network_of_gamma() {
    check_gradients(CourseKind::Network, 9);
}

/// Of the course's parameters, every so many are checked.
fn check_gradients(course: CourseKind, stride: usize) {
    let folder = tempfile::tempdir().unwrap();
    let (run, split) = trained(folder.path(), 60, course);
    let draws = Draws::new(256, run.dim, &mut TrainRng::new(4), &Device::Cpu).unwrap();
    let here = evaluate(&run, &split, &draws);
    let total = |s: &Step| s.terms.iter().map(|t| f64::from(*t)).sum::<f64>();
    let mean = f64::from(here.terms[2]);
    // ⟨ℓ²⟩ by the square of the mean as it is here.
    let scatter = |s: &Step| s.spread * (f64::from(s.terms[2]) / mean).powi(2);

    let difference = |var: &candle_core::Var, index: usize, of: &dyn Fn(&Step) -> f64| {
        let before: Vec<f32> = var.flatten_all().unwrap().to_vec1().unwrap();
        let put = |values: Vec<f32>| {
            var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu).unwrap())
                .unwrap();
        };
        let at = |h: f32| {
            let mut moved = before.clone();
            moved[index] += h;
            put(moved);
            let value = of(&evaluate(&run, &split, &draws));
            put(before.clone());
            value
        };
        (at(0.01) - at(-0.01)) / 0.02
    };
    let gradient = |var: &candle_core::Var| flat(here.gradients.get(var).unwrap());
    for end in run.gamma.ends() {
        let (found, expected) = (f64::from(gradient(end)[0]), difference(end, 0, &total));
        assert!(
            (found - expected).abs() < 0.02 * expected.abs() + 0.01,
            "{found} {expected}"
        );
    }
    let mut largest = 0.0f64;
    for var in run.gamma.course() {
        for (index, found) in gradient(var).iter().enumerate().step_by(stride) {
            let expected = difference(var, index, &scatter);
            largest = largest.max(expected.abs());
            assert!(
                (f64::from(*found) - expected).abs() < 0.02 * expected.abs() + 0.01,
                "{index}: {found} {expected}"
            );
        }
    }
    assert!(largest > 0.05, "a gradient of nothing proves nothing");
}

/// The estimate varies less along a learned γ than along a straight one between the same ends, with the same network.
#[test]
fn a_learned_course_makes_the_estimate_vary_less() {
    let folder = tempfile::tempdir().unwrap();
    let (run, split) = trained(folder.path(), 600, CourseKind::Table);
    let spread = |run: &Run| {
        let mut rng = TrainRng::new(9);
        let of = |_| {
            let draws = Draws::new(600, run.dim, &mut rng, &Device::Cpu).unwrap();
            evaluate(run, &split, &draws).spread
        };
        (0..20).map(of).sum::<f64>() / 20.0
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

/// Whatever the course of γ, the loss is the same in expectation: the integral over γ.
#[test]
fn the_course_does_not_change_the_loss() {
    let folder = tempfile::tempdir().unwrap();
    let (run, split) = trained(folder.path(), 300, CourseKind::Table);
    let mean = |run: &Run| {
        let mut rng = TrainRng::new(5);
        let of = |_| {
            let draws = Draws::new(600, run.dim, &mut rng, &Device::Cpu).unwrap();
            f64::from(evaluate(run, &split, &draws).terms[2])
        };
        let values: Vec<f64> = (0..100).map(of).collect();
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
    assert!(error < 0.03 * learned, "too loose a test: {error} of {learned}");
}

/// In the limit every schedule has the mean of the others; the learned course, table or network, varies least.
#[test]
fn the_measured_estimate_varies_least_along_the_learned_course() {
    for course in [CourseKind::Table, CourseKind::Network] {
        let folder = tempfile::tempdir().unwrap();
        let (run, split) = trained(folder.path(), 800, course);
        run.optimizer.show_average().unwrap();
        let settings = EstimatorSettings {
            draws: 400,
            batches: 200,
            ..EstimatorSettings::default()
        };
        let found = measure_estimates(&run, &split.train, &settings, &Progress::hidden()).unwrap();
        let of = |schedule: Schedule, steps: Option<usize>| {
            let mut one = found.iter().filter(|e| e.schedule == schedule && e.steps == steps);
            one.next().unwrap().clone()
        };
        let (even, learned) = (of(Schedule::Even, None), of(Schedule::Learned, None));
        let samples = (split.train.len() * settings.draws) as f64;
        for other in [of(Schedule::Cosine, None), learned.clone()] {
            let error = (even.deviation.powi(2) + other.deviation.powi(2)).sqrt() / samples.sqrt();
            let apart = (even.mean - other.mean).abs();
            assert!(
                apart < 4.0 * error + 1e-3 * even.mean,
                "{course:?}: {even:?} {other:?} ± {error}"
            );
        }
        assert!(
            learned.deviation < 0.95 * even.deviation,
            "{course:?}: {learned:?} {even:?}"
        );

        // A batch's rows have times and noise of their own: it varies less than a row by the root of their number, or better for stratified
        // times. What rows differ by is added.
        let batch = run.config.train.batch as f64;
        assert!(even.batch_deviation < even.deviation / batch.sqrt(), "{even:?}");
        assert!(
            learned.batch_deviation < even.batch_deviation,
            "{course:?}: {learned:?} {even:?}"
        );

        // With T steps, the mean is that of the loss that the chain is trained by.
        let chain = of(Schedule::Learned, Some(run.gamma.steps()));
        let mut rng = TrainRng::new(2);
        let (rounds, n) = (200, 480);
        let mut sum = 0.0;
        for _ in 0..rounds {
            let rows: Vec<usize> = (0..n).map(|_| rng.below(split.train.len())).collect();
            let x = Tensor::from_vec(split.train.select(&rows).rows, (n, run.dim), &Device::Cpu).unwrap();
            let draws = loss::Draws::new(n, run.dim, run.gamma.steps(), &mut rng, &Device::Cpu).unwrap();
            let prediction = run.config.model.prediction;
            let terms = loss::elbo(
                &run.network,
                &run.gamma,
                None,
                prediction,
                split.train.levels(),
                &x,
                &draws,
            );
            sum += f64::from(terms.unwrap().values().unwrap()[2]);
        }
        let mean = sum / f64::from(rounds) / (run.dim as f64 * std::f64::consts::LN_2);
        assert!((mean - chain.mean).abs() < 0.02 * mean, "{course:?}: {mean} {chain:?}");
    }
}
