//! Training with infinitely many steps: the gradients are those of what they claim to be, and γ learns to vary less.

mod common;

use ancestral::schedule::snr;
use candle_core::{Device, Tensor};
use host_train::checkpoint::Run;
use host_train::config::{Config, Time};
use host_train::data::{self, Split};
use host_train::loss::continuous::{Draws, Step, step};
use host_train::rng::TrainRng;
use host_train::train::train;
use std::path::Path;
use std::sync::atomic::AtomicBool;

fn trained(folder: &Path, steps: u64, learn: bool) -> (Run, Split) {
    let mut config = Config::read(&common::files(folder)).unwrap();
    config.model.time = Time::Continuous;
    config.model.learn_gamma = learn;
    config.train.steps = steps;
    let split = data::load(&config.data, folder).unwrap();
    let mut run = Run::for_data(config, &split, &Device::Cpu).unwrap();
    let stop = AtomicBool::new(false);
    train(&mut run, &split.train, folder, &stop, None, true).unwrap();
    (run, split)
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
    let folder = tempfile::tempdir().unwrap();
    let (run, split) = trained(folder.path(), 60, true);
    let draws = Draws::new(256, run.dim, &mut TrainRng::new(4), &Device::Cpu).unwrap();
    let here = evaluate(&run, &split, &draws);
    let total = |s: &Step| s.terms.iter().map(|t| f64::from(*t)).sum::<f64>();
    let mean = f64::from(here.terms[2]);
    // ⟨ℓ²⟩ by the square of the mean as it is here.
    let scatter = |s: &Step| s.spread * (f64::from(s.terms[2]) / mean).powi(2);

    let difference = |var: &candle_core::Var, index: usize, of: &dyn Fn(&Step) -> f64| {
        let before: Vec<f32> = var.to_vec1().unwrap();
        let at = |h: f32| {
            let mut moved = before.clone();
            moved[index] += h;
            var.set(&Tensor::new(moved, &Device::Cpu).unwrap()).unwrap();
            let value = of(&evaluate(&run, &split, &draws));
            var.set(&Tensor::new(before.clone(), &Device::Cpu).unwrap()).unwrap();
            value
        };
        (at(0.01) - at(-0.01)) / 0.02
    };
    let gradient = |var: &candle_core::Var| here.gradients.get(var).unwrap().to_vec1::<f32>().unwrap();
    for end in run.gamma.ends() {
        let (found, expected) = (f64::from(gradient(end)[0]), difference(end, 0, &total));
        assert!(
            (found - expected).abs() < 0.02 * expected.abs() + 0.01,
            "{found} {expected}"
        );
    }
    let course = run.gamma.course();
    let found = gradient(course);
    let mut largest = 0.0f64;
    for (index, found) in found.iter().enumerate() {
        let expected = difference(course, index, &scatter);
        largest = largest.max(expected.abs());
        assert!(
            (f64::from(*found) - expected).abs() < 0.02 * expected.abs() + 0.01,
            "{index}: {found} {expected}"
        );
    }
    assert!(largest > 0.05, "a gradient of nothing proves nothing");
}

/// The estimate varies less along a learned γ than along a straight one between the same ends, with the same network.
#[test]
fn a_learned_course_makes_the_estimate_vary_less() {
    let folder = tempfile::tempdir().unwrap();
    let (run, split) = trained(folder.path(), 600, true);
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
    let (run, split) = trained(folder.path(), 300, true);
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
