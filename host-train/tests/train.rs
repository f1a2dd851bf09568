//! Training: it learns, it is repeatable, it resumes, and its loss is the core's ELBO.

mod common;

use ancestral::model::Header;
use candle_core::{Device, Tensor};
use host_train::data::{self, Split, ValueKind};
use host_train::export::{Recipe, export, float_spec};
use host_train::progress::Progress;
use host_train::rng::TrainRng;
use host_train::runtime::evaluate::evaluate;
use host_train::runtime::model_file::{AnyModel, ModelFile};
use host_train::train::checkpoint::{CHECKPOINT, Run, WEIGHTS};
use host_train::train::config::{Config, DecoderKind, PredictionKind};
use host_train::train::loss::{Draws, Dropout};
use host_train::train::{LOSSES, Outcome, Session, train};
use std::path::Path;
use std::sync::atomic::AtomicBool;

fn train_to(run: &mut Run, split: &Split, folder: &Path, stop_at: Option<u64>) -> Outcome {
    let stop = AtomicBool::new(false);
    let session = Session {
        stop_at,
        ..Session::quiet(folder, &stop)
    };
    train(run, split, &session).unwrap()
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    let values: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
    values.into_iter().map(f32::to_bits).collect()
}

fn model_of(run: &Run) -> ModelFile {
    run.optimizer.show_average().unwrap();
    ModelFile::from_bytes(&float_spec(run).unwrap().to_bytes().unwrap(), "model".into()).unwrap()
}

#[test]
fn a_resumed_run_is_the_uninterrupted_one_to_the_bit() {
    compare_resumed_with_whole(|_| {}, 5);
}

/// The weights are the best so far after step 9 and later, so a checkpoint after 13 holds weights of an earlier step.
#[test]
fn so_is_one_with_validation_rows() {
    let change = |config: &mut Config| {
        config.data.validation_rows = 10.into();
        config.train.validate_every = Some(9);
        config.train.patience = Some(3);
        // Far too large, so that the validations go up and down.
        config.train.learning_rate = 0.2;
        config.train.ema = 0.1;
    };
    // Rows of the log after 9, 10, 18, 20, 27, 30, 36 and 40 steps, unless patience ends it.
    compare_resumed_with_whole(change, 9);
}

fn start(folder: &Path, change: impl Fn(&mut Config)) -> (Run, Split) {
    let mut config = Config::read(&common::files(folder)).unwrap();
    change(&mut config);
    let split = data::load(&config.data, folder).unwrap();
    (Run::for_data(config, &split, &Device::Cpu).unwrap(), split)
}

fn compare_resumed_with_whole(change: impl Fn(&mut Config), lines: usize) {
    let folder = tempfile::tempdir().unwrap();
    let (mut whole, split) = start(folder.path(), &change);
    let inside = |name: &str| folder.path().join(name);
    assert_eq!(train_to(&mut whole, &split, &inside("whole"), None), Outcome::Finished);

    // Stopped twice, once between two rows of the log.
    let (mut part, _) = start(folder.path(), &change);
    assert_eq!(
        train_to(&mut part, &split, &inside("part"), Some(13)),
        Outcome::Interrupted
    );
    assert_eq!(part.optimizer.step, 13);
    assert!(
        !inside("part").join(WEIGHTS).exists(),
        "weights are written at the end only"
    );
    let mut part = Run::resume(&inside("part").join(CHECKPOINT), &Device::Cpu).unwrap();
    assert_eq!(
        train_to(&mut part, &split, &inside("part"), Some(20)),
        Outcome::Interrupted
    );
    let mut part = Run::resume(&inside("part").join(CHECKPOINT), &Device::Cpu).unwrap();
    assert_eq!(train_to(&mut part, &split, &inside("part"), None), Outcome::Finished);

    // The metadata of the files is a map without an order, so their contents are compared and not their bytes.
    assert_eq!(part.rng, whole.rng);
    assert_eq!(part.optimizer.step, whole.optimizer.step);
    for (a, b) in part.optimizer.slots.iter().zip(&whole.optimizer.slots) {
        assert_eq!(bits(&a.state), bits(&b.state), "{}", a.parameter.name);
    }
    let best = |run: &Run| {
        let best = run.validations.best.as_ref()?;
        let weights: Vec<_> = best.weights.iter().map(bits).collect();
        Some((best.validation.step, best.validation.bits_per_dim.to_bits(), weights))
    };
    assert_eq!(best(&part), best(&whole));
    assert_eq!(part.validations.since_best, whole.validations.since_best);
    let weights = |name| Run::averaged(&inside(name).join(WEIGHTS), &Device::Cpu).unwrap();
    for (a, b) in weights("part")
        .optimizer
        .slots
        .iter()
        .zip(&weights("whole").optimizer.slots)
    {
        assert_eq!(bits(&a.state), bits(&b.state), "{}", a.parameter.name);
    }
    let log = |name| std::fs::read_to_string(inside(name).join(LOSSES)).unwrap();
    assert_eq!(log("whole").lines().count(), lines);
    assert_eq!(log("whole"), log("part"));
}

#[test]
fn training_lowers_the_held_out_elbo() {
    let folder = tempfile::tempdir().unwrap();
    let (mut run, split) = common::run(folder.path());
    let before = evaluate(&model_of(&run), &split.test, 16, 0, &Progress::hidden()).unwrap();
    run.config.train.steps = 600;
    run.optimizer.show_current().unwrap();
    train_to(&mut run, &split, folder.path(), None);
    let after = evaluate(&model_of(&run), &split.test, 16, 0, &Progress::hidden()).unwrap();
    assert!(
        after.bits_per_dim < before.bits_per_dim - 0.5,
        "{} {}",
        before.bits_per_dim,
        after.bits_per_dim
    );
    // A uniform code over five levels costs log2 5 = 2.32 bits.
    assert!(after.bits_per_dim < 1.6, "{}", after.bits_per_dim);
    let sum = after.reconstruction + after.prior + after.diffusion;
    assert!((sum - after.bits_per_dim).abs() < 1e-9);
}

/// Trains a model of the tiny data; levels are clipped.
fn train_kind(folder: &Path, prediction: PredictionKind, continuous: bool) -> (Run, Split) {
    let mut config = Config::read(&common::files(folder)).unwrap();
    config.model.prediction = prediction;
    config.model.clip = !continuous;
    config.train.steps = 100;
    if continuous {
        config.data.levels = None;
    }
    let split = data::load(&config.data, folder).unwrap();
    let mut run = Run::for_data(config, &split, &Device::Cpu).unwrap();
    train_to(&mut run, &split, folder, None);
    (run, split)
}

/// Returns the means of the loss's terms over many batches, in bits per dimension.
fn mean_loss(run: &Run, split: &Split) -> [f64; 3] {
    let n = split.train.len();
    let x = Tensor::from_slice(&split.train.rows, (n, 4), &Device::Cpu).unwrap();
    let mut rng = TrainRng::new(8);
    let rounds = 1500;
    let mut sums = [0.0f64; 3];
    for _ in 0..rounds {
        let draws = Draws::new(n, 4, DecoderKind::Factorized, Dropout::NONE, &mut rng, &Device::Cpu).unwrap();
        let mut draws = draws.in_steps(8);
        // Rows keep their place in the batch and times are stratified by place: shuffle the times between rows.
        let mut steps = draws.times.host().unwrap().into_owned();
        for i in (1..n).rev() {
            steps.swap(i, rng.below(i + 1));
        }
        draws.times = steps.into();
        let terms = run.objective(split.train.levels()).elbo(&x, &draws).unwrap();
        for (sum, term) in sums.iter_mut().zip(terms.values().unwrap()) {
            *sum += f64::from(term);
        }
    }
    sums.map(|sum| sum / (f64::from(rounds) * 4.0 * std::f64::consts::LN_2))
}

/// Compares two ways to the same quantity: the loss of training (candle) and the ELBO of the exported model (core).
fn compare_loss_with_core(prediction: PredictionKind, continuous: bool) {
    let folder = tempfile::tempdir().unwrap();
    let (run, split) = train_kind(folder.path(), prediction, continuous);
    let score = evaluate(&model_of(&run), &split.train, 400, 1, &Progress::hidden()).unwrap();
    let loss = mean_loss(&run, &split);
    // The core reports the density in the file's units, so the loss lacks the logarithms of the scales.
    let units = match &split.train.kind {
        ValueKind::Continuous { scale, .. } => {
            scale.iter().map(|s| f64::from(*s).ln()).sum::<f64>() / (4.0 * std::f64::consts::LN_2)
        }
        ValueKind::Levels { .. } => 0.0,
    };
    // The reconstruction of levels uses only the first 32 rows of a batch, so its tolerance is larger.
    for (name, found, core, tolerance) in [
        ("reconstruction", loss[0] + units, score.reconstruction, 0.03),
        ("prior", loss[1], score.prior, 1e-3),
        ("diffusion", loss[2], score.diffusion, 0.02),
    ] {
        let allowed = tolerance * core.abs().max(0.1);
        assert!(
            (found - core).abs() < allowed,
            "{prediction:?}, continuous {continuous}, {name}: loss {found}, core {core}"
        );
    }
}

#[test]
fn the_loss_is_the_cores_elbo_of_levels() {
    compare_loss_with_core(PredictionKind::V, false);
    compare_loss_with_core(PredictionKind::X, false);
}

#[test]
fn the_loss_is_the_cores_elbo_of_continuous_data() {
    compare_loss_with_core(PredictionKind::V, true);
    compare_loss_with_core(PredictionKind::X, true);
}

#[test]
fn the_exported_network_is_the_trained_one() {
    let folder = tempfile::tempdir().unwrap();
    let (mut run, split) = common::run(folder.path());
    train_to(&mut run, &split, folder.path(), None);
    let file = model_of(&run);
    let AnyModel::F32(model) = file.parse().unwrap() else {
        panic!()
    };
    let z: Vec<f32> = (0..4).map(|d| 0.7 * d as f32 - 1.0).collect();
    let gamma = run.gamma.values().unwrap();
    for t in 1..=8usize {
        let biases = run
            .network
            .biases(&gamma.narrow(0, t, 1).unwrap().unsqueeze(1).unwrap())
            .unwrap();
        let input = Tensor::from_slice(&z, (1, 4), &Device::Cpu).unwrap();
        let ours: Vec<f32> = run
            .network
            .forward(&input, &biases)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1()
            .unwrap();
        let (mut first, mut second, mut out) = ([0.0; 16], [0.0; 16], [0.0; 4]);
        let mut scratch = ancestral::storage::Scratch {
            first: &mut first,
            second: &mut second,
            work: &mut [],
        };
        ancestral::mlp::forward(&model, t, &z, &mut scratch, &mut out);
        for (a, b) in ours.iter().zip(out) {
            assert!((a - b).abs() < 1e-5, "t = {t}: {a} {b}");
        }
    }
    assert_eq!(file.gamma().unwrap(), gamma.to_vec1::<f32>().unwrap());
}

#[test]
fn the_integer_model_costs_little() {
    let folder = tempfile::tempdir().unwrap();
    let (mut run, split) = common::run(folder.path());
    run.config.train.steps = 300;
    train_to(&mut run, &split, folder.path(), None);
    let float = evaluate(&model_of(&run), &split.test, 16, 0, &Progress::hidden()).unwrap();
    let exported = export(
        &run,
        &Recipe::plain(ancestral::FormatId::W8A16),
        &split.train,
        &Progress::hidden(),
    )
    .unwrap();
    let file = ModelFile::from_bytes(&exported.bytes, "integer".into()).unwrap();
    let integer = evaluate(&file, &split.test, 16, 0, &Progress::hidden()).unwrap();
    assert_eq!(integer.format, "w8a16");
    assert!(
        (integer.bits_per_dim - float.bits_per_dim).abs() < 0.03,
        "{} {}",
        float.bits_per_dim,
        integer.bits_per_dim
    );
    assert!(integer.file_bytes < float.file_bytes);
}

#[test]
fn a_chain_that_stops_short_of_the_prior_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let (mut run, split) = common::run(folder.path());
    train_to(&mut run, &split, &folder.path().join("good"), None);
    let good = export(
        &run,
        &Recipe::plain(ancestral::FormatId::F32),
        &split.train,
        &Progress::hidden(),
    )
    .unwrap();
    assert!(!good.warnings.iter().any(|warning| warning.contains("prior term is")));
    let mut config = run.config.clone();
    config.model.gamma_last = Some(1.0);
    config.model.learn_gamma = false;
    let mut short = Run::for_data(config, &split, &Device::Cpu).unwrap();
    train_to(&mut short, &split, &folder.path().join("short"), None);
    let exported = export(
        &short,
        &Recipe::plain(ancestral::FormatId::F32),
        &split.train,
        &Progress::hidden(),
    )
    .unwrap();
    assert!(exported.warnings[0].contains("prior term is") && exported.warnings[0].contains("gamma_last"));
    assert_eq!(Header::read(&exported.bytes).unwrap().steps, 8);
}

#[test]
fn weights_that_are_not_finite_are_refused_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let (run, split) = common::run(folder.path());
    let slot = &run.optimizer.slots[1];
    let mut values = slot.parameter.var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    values[5 * 16 + 3] = f32::NAN;
    slot.parameter
        .var
        .set(&Tensor::from_vec(values, (16, 16), &Device::Cpu).unwrap())
        .unwrap();
    let error = export(
        &run,
        &Recipe::plain(ancestral::FormatId::F32),
        &split.train,
        &Progress::hidden(),
    )
    .err()
    .unwrap()
    .to_string();
    assert!(error.contains("layer 1, row 5, column 3"), "{error}");
}

#[test]
fn weights_cannot_be_resumed_and_damage_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut run, split) = common::run(folder.path());
    train_to(&mut run, &split, folder.path(), None);
    let weights = folder.path().join(WEIGHTS);
    let error = format!("{:#}", Run::resume(&weights, &Device::Cpu).err().unwrap());
    assert!(error.contains("cannot be resumed"), "{error}");
    assert!(Run::averaged(&weights, &Device::Cpu).is_ok());
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() - 100]).unwrap();
    let error = format!("{:#}", Run::averaged(&weights, &Device::Cpu).err().unwrap());
    assert!(
        error.contains(WEIGHTS) && error.contains("not a usable checkpoint"),
        "{error}"
    );
}
