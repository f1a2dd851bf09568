//! The loss of a batch is, on average, the sum over all T + 1 terms of the chain, as the core's formulas give them.

use crate::common;
use ancestral::levels;
use ancestral::schedule::{self, Prediction};
use candle_core::{Device, Tensor};
use host_train::data::{self, Split};
use host_train::model::variance::VarianceKind;
use host_train::rng::TrainRng;
use host_train::train::checkpoint::Run;
use host_train::train::config::{Config, DecoderKind, Time};
use host_train::train::loss::{Draws, Dropout};
use host_train::train::{Session, train};
use std::f64::consts::PI;
use std::sync::atomic::AtomicBool;

/// A sum of numbers, for their mean and its standard error.
#[derive(Clone, Copy, Default)]
struct Mean {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        self.sum += value;
        self.squares += value * value;
    }

    fn value(&self) -> f64 {
        self.sum / self.count
    }

    /// Variance of the mean.
    fn variance(&self) -> f64 {
        (self.squares / self.count - self.value().powi(2)) / self.count
    }
}

fn trained(change: impl Fn(&mut Config)) -> (Run, Split) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::read(&common::files(folder.path())).unwrap();
    config.model.steps = 4;
    config.train.steps = 150;
    change(&mut config);
    let split = data::load(&config.data, folder.path()).unwrap();
    let mut run = Run::for_data(config, &split, &Device::Cpu).unwrap();
    let stop = AtomicBool::new(false);
    train(&mut run, &split, &Session::quiet(folder.path(), &stop)).unwrap();
    (run, split)
}

/// Means of reconstruction and diffusion over many batches, as training draws them.
fn drawn(run: &Run, split: &Split, rounds: usize) -> [Mean; 2] {
    let (mut rng, n) = (TrainRng::new(3), 64);
    let mut means = [Mean::default(); 2];
    let objective = run.objective(split.train.levels());
    for _ in 0..rounds {
        let rows: Vec<usize> = (0..n).map(|_| rng.below(split.train.len())).collect();
        let x = Tensor::from_vec(split.train.select(&rows).rows, (n, run.dim), &Device::Cpu).unwrap();
        let decoder = run.config.model.decoder;
        let draws = Draws::new(n, run.dim, decoder, Dropout::NONE, &mut rng, &Device::Cpu).unwrap();
        let [reconstruction, _, diffusion] = match run.config.model.time {
            Time::Discrete => {
                let terms = objective.elbo(&x, &draws.in_steps(run.gamma.steps())).unwrap();
                terms.values().unwrap()
            }
            Time::Continuous => objective.limit_elbo(&x, &draws, 1.0).unwrap().terms,
        };
        means[0].add(f64::from(reconstruction));
        means[1].add(f64::from(diffusion));
    }
    means
}

/// Estimates of the data, and nats of its levels, at one γ for every row of the training data and some noises.
struct Answers {
    /// x̂ − x, row by row.
    errors: Vec<Vec<f64>>,
    /// `−ln p(x | z)` of levels.
    nats: Vec<f64>,
}

/// The network's answers, read out by the core in f64.
fn answer(run: &Run, split: &Split, gamma: f64, draws: usize, seed: u64) -> Answers {
    let (n, dim) = (split.train.len(), run.dim);
    let mut rng = TrainRng::new(seed);
    let (alpha, sigma, snr) = (schedule::alpha(gamma), schedule::sigma(gamma), schedule::snr(gamma));
    let column = Tensor::full(gamma as f32, (n, 1), &Device::Cpu).unwrap();
    let biases = run.network.biases(&column).unwrap();
    let mut answers = Answers {
        errors: Vec::new(),
        nats: Vec::new(),
    };
    for _ in 0..draws {
        let noise = rng.matched_normals(n, dim);
        let x = split.train.rows.iter();
        let z: Vec<f32> = x
            .zip(&noise)
            .map(|(x, n)| alpha as f32 * x + sigma as f32 * n)
            .collect();
        let z_rows = Tensor::from_slice(&z, (n, dim), &Device::Cpu).unwrap();
        let f = run.network.forward(&z_rows, &biases).unwrap();
        let f: Vec<f32> = f.flatten_all().unwrap().to_vec1().unwrap();
        for row in 0..n {
            let (mut errors, mut nats) = (Vec::new(), 0.0);
            for i in row * dim..(row + 1) * dim {
                let [x, z, f] = [split.train.rows[i], z[i], f[i]].map(f64::from);
                let estimate = match run.read_out().prediction {
                    Prediction::Odds { levels } => {
                        let eta = alpha / (sigma * sigma) * z + f / levels::spacing::<f64>(levels);
                        let level = (0.5 * (x + 1.0) * f64::from(levels - 1)).round() as u16;
                        nats += levels::level_nats(levels, level, eta, snr);
                        levels::posterior(levels, eta, snr).mean
                    }
                    Prediction::V => alpha * z - sigma * f,
                    Prediction::X => f,
                };
                errors.push(estimate - x);
            }
            answers.errors.push(errors);
            answers.nats.push(nats);
        }
    }
    answers
}

fn square(errors: &[f64]) -> f64 {
    errors.iter().map(|e| e * e).sum()
}

/// Mean of a number over answers.
fn mean(values: impl Iterator<Item = f64>) -> Mean {
    let mut mean = Mean::default();
    values.for_each(|value| mean.add(value));
    mean
}

/// Reconstruction by the network decoder.
fn exact_reconstruction(run: &Run, split: &Split, draws: usize) -> Mean {
    let gamma = run.gamma.wide().unwrap()[0];
    let answers = answer(run, split, gamma, draws, 77);
    if split.train.levels().is_some() {
        return mean(answers.nats.into_iter());
    }
    let ratios = match &run.variance {
        Some(variance) => variance.decoder_ratios().unwrap().unwrap(),
        None => vec![1.0; run.dim],
    };
    let snr = schedule::snr(gamma);
    mean(answers.errors.iter().map(|errors| {
        let dims = errors.iter().zip(&ratios);
        dims.map(|(e, ratio)| 0.5 * ((2.0 * PI * ratio / snr).ln() + snr * e * e / ratio))
            .sum()
    }))
}

/// The diffusion term as a sum over the steps, and the variance of its estimate.
fn exact_diffusion(run: &Run, split: &Split, draws: usize) -> (f64, f64) {
    let gamma = run.gamma.wide().unwrap();
    let (mut sum, mut variance) = (0.0, 0.0);
    for (s, pair) in gamma.windows(2).enumerate() {
        let answers = answer(run, split, pair[1], draws, 100 + s as u64);
        let weight = schedule::step_weight(pair[0], pair[1]);
        let ratios = match &run.variance {
            Some(variance) => variance.spec().unwrap().ratios[s * run.dim..(s + 1) * run.dim].to_vec(),
            None => vec![1.0; run.dim],
        };
        let step = mean(answers.errors.iter().map(|errors| {
            let dims = errors.iter().zip(&ratios);
            dims.map(|(e, r)| 0.5 * (r.ln() + (1.0 + 2.0 * weight * e * e) / r - 1.0))
                .sum()
        }));
        sum += step.value();
        variance += step.variance();
    }
    (sum, variance)
}

fn agree(found: Mean, expected: f64, variance: f64, name: &str) {
    let error = (found.variance() + variance).sqrt();
    let value = found.value();
    assert!(
        (value - expected).abs() < 4.5 * error,
        "{name}: {value} {expected} ± {error}"
    );
    assert!(
        error < 0.02 * expected.abs().max(1.0),
        "{name}: the test is too loose: {error}"
    );
}

fn check(name: &str, change: impl Fn(&mut Config)) {
    let (run, split) = trained(change);
    let [reconstruction, diffusion] = drawn(&run, &split, 6000);
    if run.config.model.decoder == DecoderKind::Network {
        let exact = exact_reconstruction(&run, &split, 400);
        agree(
            reconstruction,
            exact.value(),
            exact.variance(),
            &format!("{name}, reconstruction"),
        );
    }
    let (exact, variance) = exact_diffusion(&run, &split, 400);
    agree(diffusion, exact, variance, &format!("{name}, diffusion"));
}

#[test]
fn the_chains_loss_is_the_sum_over_its_steps() {
    check("odds", common::predict_odds);
    check("odds, calibrated", |config| {
        common::predict_odds(config);
        config.model.variance = Some(VarianceKind::Calibrated);
    });
    check("odds, factorized", |config| {
        common::predict_odds(config);
        config.model.decoder = DecoderKind::Factorized;
    });
    check("values", common::decode_values);
    check("values, calibrated", |config| {
        common::decode_values(config);
        config.model.variance = Some(VarianceKind::Calibrated);
    });
}

/// In continuous time, the sum over many short steps.
#[test]
fn the_loss_of_infinitely_many_steps_is_an_integral() {
    for (name, change) in [
        ("odds", common::predict_odds as fn(&mut Config)),
        ("values", common::decode_values),
    ] {
        let (run, split) = trained(|config| {
            change(config);
            config.model.time = Time::Continuous;
            config.model.steps = 6;
        });
        let [reconstruction, diffusion] = drawn(&run, &split, 6000);
        let exact = exact_reconstruction(&run, &split, 400);
        agree(
            reconstruction,
            exact.value(),
            exact.variance(),
            &format!("{name}, reconstruction"),
        );
        // By the midpoints of short pieces of γ: `½ ∫ SNR ‖x − x̂‖² dγ`.
        let gamma = run.gamma.wide().unwrap();
        let (first, width) = (gamma[0], (gamma[6] - gamma[0]) / 200.0);
        let (mut sum, mut variance) = (0.0, 0.0);
        for piece in 0..200 {
            let gamma = first + width * (f64::from(piece) + 0.5);
            let answers = answer(&run, &split, gamma, 10, 900 + piece as u64);
            let weight = 0.5 * width * schedule::snr(gamma);
            let piece = mean(answers.errors.iter().map(|errors| weight * square(errors)));
            sum += piece.value();
            variance += piece.variance();
        }
        agree(diffusion, sum, variance, &format!("{name}, diffusion"));
    }
}
