//! Quantization: the trained forward pass is the core's, it reduces the error, and models that a format cannot run are
//! refused by name.

mod common;

use ancestral::mlp::forward;
use ancestral::model::{AlignedBytes, ModelSpec};
use ancestral::storage::{Buffers, Heap, Storage};
use ancestral::{F32, Model, Q3_12, W4A8, W8A8, W8A16};
use candle_core::Device;
use host_train::data::{self, Dataset, Split};
use host_train::export::quantize::finetune::{FineTune, StateBatch, Student, finetune};
use host_train::export::quantize::formats::IntegerFormat;
use host_train::export::quantize::integers::ScaledNetwork;
use host_train::export::quantize::states::{Amount, States, collect};
use host_train::export::quantize::teacher::Teacher;
use host_train::export::quantize::{Summary, assemble, calibrate, moments, proof, quantize_model};
use host_train::export::{float_spec, half::round_to_half};
use host_train::train::checkpoint::Run;
use host_train::train::config::{Config, DecoderKind};
use host_train::train::{Session, train};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, OnceLock};

/// A small trained model, and its data. Training it takes a second, so it is done once.
fn trained() -> &'static (ModelSpec<F32>, Split) {
    static TRAINED: OnceLock<(ModelSpec<F32>, Split)> = OnceLock::new();
    TRAINED.get_or_init(|| train_with(|_| {}))
}

/// The same of odds, with the network as decoder.
fn trained_on_odds() -> &'static (ModelSpec<F32>, Split) {
    static TRAINED: OnceLock<(ModelSpec<F32>, Split)> = OnceLock::new();
    TRAINED.get_or_init(|| train_with(common::predict_odds))
}

/// The same of continuous data, with the network as decoder and rotated variances.
fn trained_on_values() -> &'static (ModelSpec<F32>, Split) {
    static TRAINED: OnceLock<(ModelSpec<F32>, Split)> = OnceLock::new();
    TRAINED.get_or_init(|| {
        train_with(|config| {
            config.data.levels = None;
            config.model.decoder = DecoderKind::Network;
            config.model.clip = false;
        })
    })
}

fn train_with(change: impl FnOnce(&mut Config)) -> (ModelSpec<F32>, Split) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::read(&common::files(folder.path())).unwrap();
    change(&mut config);
    config.train.steps = 400;
    let split = data::load(&config.data, folder.path()).unwrap();
    let mut run = Run::for_data(config, &split, &Device::Cpu).unwrap();
    let stop = AtomicBool::new(false);
    train(&mut run, &split, &Session::quiet(folder.path(), &stop)).unwrap();
    run.optimizer.show_average().unwrap();
    (float_spec(&run).unwrap(), split)
}

fn with_float<T>(spec: &ModelSpec<F32>, body: impl FnOnce(&Model<'_, F32>) -> T) -> T {
    let bytes = AlignedBytes::new(&spec.to_bytes().unwrap());
    body(&Model::parse(&bytes).unwrap())
}

const SOME: Amount = Amount {
    rows: 40,
    chains: 20,
    seed: 5,
};

fn states(spec: &ModelSpec<F32>, data: &Dataset) -> States {
    with_float(spec, |model| collect(model, data, &SOME))
}

fn calibrated<F: IntegerFormat>(spec: &ModelSpec<F32>, data: &Dataset) -> ScaledNetwork {
    let (moments, teacher) = with_float(spec, |model| {
        let states = collect(model, data, &SOME);
        (moments::measure(model, &states).unwrap(), Teacher::new(model, states))
    });
    calibrate::<F>(spec, &moments, &teacher).unwrap().network
}

/// The core's integers on every state.
fn core_outputs<F: IntegerFormat>(spec: &ModelSpec<F32>, network: &ScaledNetwork, states: &States) -> Vec<i16> {
    let bytes = assemble(spec, network.to_integers::<F>().unwrap()).to_bytes().unwrap();
    let bytes = AlignedBytes::new(&bytes);
    let model = Model::<F>::parse(&bytes).unwrap();
    let mut heap = Heap::for_model(&model);
    let mut out = Vec::new();
    for (z, t) in states.iter() {
        let Buffers {
            estimate, mut scratch, ..
        } = heap.buffers(model.dim());
        forward(&model, t, z, &mut scratch, estimate);
        out.extend(estimate.iter().map(|q: &Q3_12| q.0));
    }
    out
}

fn same_bits<F: IntegerFormat>((spec, split): &(ModelSpec<F32>, Split)) {
    let states = states(spec, &split.train);
    let everything: Vec<usize> = (0..states.len()).collect();
    let mut network = calibrated::<F>(spec, &split.train);
    if F::EXPONENTS {
        network.exponents = [0, 1, 2, 0, 3, 1, 0, 2, 1][..spec.head.calls()].to_vec();
    }
    // Leaves the grid of calibration: weights, biases and units all move.
    let settings = FineTune {
        steps: 12,
        batch: 64,
        learning_rate: Some(2e-3),
        seed: 1,
    };
    let newest = Mutex::new(None);
    // Keeps the newest network, not the best.
    let error_of = |candidate: &ScaledNetwork| {
        *newest.lock().unwrap() = Some(candidate.clone());
        Ok(0.0)
    };
    finetune::<F>(&mut network, spec, &split.train, &settings, error_of, |_, _| {}).unwrap();
    let moved = newest.into_inner().unwrap().unwrap();
    assert!(moved.hidden_unit != network.hidden_unit);
    for network in [&network, &moved] {
        let student = Student::<F>::new(network, &Device::Cpu).unwrap();
        // Parameters go through logarithms, so the student's own network is the one to compare with.
        let own = student.network().unwrap();
        let core = core_outputs::<F>(spec, &own, &states);
        let batch = StateBatch::new(&states, &everything, &Device::Cpu).unwrap();
        let trained: Vec<f64> = student
            .forward(&batch)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1()
            .unwrap();
        assert_eq!(core.len(), trained.len());
        let core: Vec<f64> = core.into_iter().map(f64::from).collect();
        assert_eq!(core, trained, "{}", F::ID);
        assert!(core.iter().any(|v| *v > 500.0) && core.iter().any(|v| *v < -500.0));
    }
    let first = spec.head.gamma.len() - spec.head.calls();
    let every: Vec<usize> = (first..spec.head.gamma.len()).collect();
    let counts: Vec<usize> = every
        .iter()
        .map(|t| states.t.iter().filter(|s| *s == t).count())
        .collect();
    assert!(
        counts.iter().all(|&count| count == SOME.rows + SOME.chains),
        "{counts:?}"
    );
}

#[test]
fn the_trained_forward_pass_is_the_cores_to_the_bit() {
    for case in [trained(), trained_on_odds(), trained_on_values()] {
        same_bits::<W8A16>(case);
        same_bits::<W8A8>(case);
        same_bits::<W4A8>(case);
    }
}

fn summary<F: IntegerFormat>((spec, split): &(ModelSpec<F32>, Split), settings: Option<&FineTune>) -> Summary {
    quantize_model::<F>(spec, &split.train, settings, |_, _| {})
        .unwrap()
        .summary
}

#[test]
fn more_bits_lose_less() {
    for case in [trained(), trained_on_odds(), trained_on_values()] {
        let formats = [
            summary::<W8A16>(case, None),
            summary::<W8A8>(case, None),
            summary::<W4A8>(case, None),
        ];
        let [wide, byte, nibble] = formats.map(|s| s.calibrated_nats_per_dim);
        assert!(0.0 < wide && wide < byte && byte < nibble, "{wide} {byte} {nibble}");
        assert!(byte < 0.02, "{byte}");
    }
}

/// The loss that fine-tuning begins with is the error that calibration has left, measured by the core.
#[test]
fn the_loss_of_finetuning_is_the_error_of_the_core() {
    for (spec, split) in [trained(), trained_on_odds(), trained_on_values()] {
        let mut network = calibrated::<W4A8>(spec, &split.train);
        let amount = Amount {
            rows: 2000,
            chains: 1500,
            // That of the states of fine-tuning.
            seed: 0xF17E,
        };
        let teacher = with_float(spec, |model| Teacher::new(model, collect(model, &split.train, &amount)));
        let damage = assemble::damage(spec, &network.to_integers::<W4A8>().unwrap(), &teacher).unwrap();
        assert_eq!(damage.len(), spec.head.calls());
        assert!(damage.iter().all(|nats| *nats > 0.0), "{damage:?}");
        let settings = FineTune {
            steps: 1,
            batch: 60_000,
            learning_rate: None,
            seed: 1,
        };
        let loss = Mutex::new(0.0);
        finetune::<W4A8>(
            &mut network,
            spec,
            &split.train,
            &settings,
            |_| Ok(0.0),
            |_, found| {
                *loss.lock().unwrap() = found;
            },
        )
        .unwrap();
        let (loss, damage) = (loss.into_inner().unwrap(), damage.iter().sum::<f64>());
        assert!((loss / damage - 1.0).abs() < 0.1, "{loss} {damage}");
    }
}

#[test]
fn finetuning_wins_back_much_of_what_four_bits_lose() {
    let settings = FineTune {
        steps: 400,
        batch: 64,
        learning_rate: Some(1e-3),
        seed: 1,
    };
    for case in [trained(), trained_on_odds(), trained_on_values()] {
        let summary = summary::<W4A8>(case, Some(&settings));
        let after = summary.finetuned_nats_per_dim.unwrap();
        assert!(after < 0.8 * summary.calibrated_nats_per_dim, "{summary:?}");
    }
}

/// If the range of the activations depends on the step, so does their unit, which reduces the error.
#[test]
fn steps_with_small_activations_get_a_small_unit() {
    let (spec, split) = trained();
    let mut spec = spec.clone();
    // At the last two steps the first layer's outputs are many times as large, in directions that hardly reach the
    // output.
    let (rows, steps) = (16, 8);
    for step in 6..steps {
        for row in 0..4 {
            spec.layers[0].biases[step * rows + row] += 40.0;
        }
    }
    for layer in &mut spec.layers[1..] {
        for weights in layer.weights.chunks_mut(16) {
            weights[..4].iter_mut().for_each(|w| *w *= 0.02);
        }
    }
    let quantized = quantize_model::<W8A8>(&spec, &split.train, None, |_, _| {}).unwrap();
    let summary = &quantized.summary;
    assert_eq!(quantized.spec.head.exponents, summary.exponents);
    assert!(
        summary.exponents[..6].iter().all(|e| *e > summary.exponents[7]),
        "{summary:?}"
    );
    assert!(
        summary.chosen_units_nats_per_dim < 0.5 * summary.one_unit_nats_per_dim,
        "{summary:?}"
    );
}

/// A rate that is far too high must not make the model worse than calibration did.
#[test]
fn finetuning_that_fails_changes_nothing() {
    let (spec, split) = trained();
    let mut network = calibrated::<W8A16>(spec, &split.train);
    let before = network.hidden_unit;
    let settings = FineTune {
        steps: 8,
        batch: 16,
        learning_rate: Some(0.5),
        seed: 1,
    };
    let error_of = |network: &ScaledNetwork| Ok((network.hidden_unit / before).ln().abs());
    // With or without an error (a bias that no longer fits), the network is the one before.
    let _ = finetune::<W8A16>(&mut network, spec, &split.train, &settings, error_of, |_, _| {});
    assert_eq!(network.hidden_unit, before);
}

fn refused<F: IntegerFormat>(change: impl FnOnce(&mut ModelSpec<F32>)) -> String {
    let (spec, split) = trained();
    let mut spec = spec.clone();
    change(&mut spec);
    match quantize_model::<F>(&spec, &split.train, None, |_, _| {}) {
        Ok(_) => panic!("it was accepted"),
        Err(error) => format!("{error:#}"),
    }
}

#[test]
fn unusable_models_are_refused_with_layer_and_row() {
    let error = refused::<W8A8>(|spec| spec.layers[1].weights[3 * 16 + 7] = f32::INFINITY);
    assert!(
        error.contains("layer 1, row 3, column 7") && error.contains("not finite"),
        "{error}"
    );
    let error = refused::<W8A16>(|spec| spec.layers[2].biases[4 * 5 + 2] = f32::NAN);
    assert!(error.contains("layer 2, row 2") && error.contains("bias"), "{error}");
    let error = refused::<W4A8>(|spec| spec.layers[0].weights[5 * 4..6 * 4].fill(0.0));
    assert!(
        error.contains("layer 0, row 5") && error.contains("every weight is 0"),
        "{error}"
    );
    let error = refused::<W8A8>(|spec| spec.layers[0].biases.fill(-1e3));
    assert!(error.contains("layer 0") && error.contains("dead"), "{error}");
    // A dead residual layer passes its input on, so its output is not 0.
    let error = refused::<W8A8>(|spec| spec.layers[1].biases.fill(-1e3));
    assert!(error.contains("layer 1") && error.contains("dead"), "{error}");
    // A row of the last layer whose outputs are a million times the state's range.
    let error = refused::<W8A8>(|spec| spec.layers[2].weights[16..32].iter_mut().for_each(|w| *w *= 1e9));
    assert!(
        error.contains("layer 2, row 1") && error.contains("overflow"),
        "{error}"
    );
    let error = refused::<W8A16>(|spec| spec.layers[2].weights[16..32].iter_mut().for_each(|w| *w *= 1e9));
    assert!(
        error.contains("layer 2, row 1") && error.contains("overflow"),
        "{error}"
    );
    let error = refused::<W8A16>(|spec| spec.layers[2].biases[3] = 9.0);
    assert!(
        error.contains("layer 2, row 3") && error.contains("does not fit"),
        "{error}"
    );
}

/// A pixel that is black in nearly every row has odds beyond the range of the output.
#[test]
fn certain_odds_stay_at_the_end_of_the_range() {
    let (spec, split) = trained_on_odds();
    let mut spec = spec.clone();
    spec.layers[2]
        .biases
        .iter_mut()
        .skip(3)
        .step_by(4)
        .for_each(|b| *b = -9.1);
    spec.layers[2].weights[3 * 16..4 * 16]
        .iter_mut()
        .for_each(|w| *w *= 0.1);
    quantize_model::<W8A16>(&spec, &split.train, None, |_, _| {}).unwrap();
    let outputs = core_outputs::<W8A16>(
        &spec,
        &calibrated::<W8A16>(&spec, &split.train),
        &states(&spec, &split.train),
    );
    assert!(outputs.iter().skip(3).step_by(4).all(|&f| f < -7 * 4096), "{outputs:?}");
}

#[test]
fn half_precision_has_a_range_too() {
    let (spec, _) = trained();
    let mut spec = spec.clone();
    spec.layers[1].weights[2 * 16] = 1e5;
    let error = round_to_half(&spec).unwrap_err().to_string();
    assert!(
        error.contains("layer 1, row 2") && error.contains("half precision"),
        "{error}"
    );
}

/// 600 inputs of the largest weight: 16-bit activations can overflow, 8-bit ones cannot.
#[test]
fn a_row_that_can_overflow_is_named() {
    fn layer_of<F: IntegerFormat>() -> anyhow::Result<()> {
        let (spec, _) = trained();
        let mut spec = spec.clone();
        let wide = &mut spec.layers[1];
        (wide.rows, wide.columns, wide.residual) = (2, 600, false);
        wide.weights = [[1.0, 0.0].repeat(300), vec![1.0; 600]].concat();
        wide.biases = vec![0.0; 2];
        let mut network = ScaledNetwork::from_float::<F>(&spec);
        network.hidden_unit = 0.01;
        proof::check_integers(&network.to_integers::<F>()?)
    }
    let error = layer_of::<W8A16>().unwrap_err().to_string();
    assert!(
        error.contains("layer 1, row 1") && error.contains("600 inputs"),
        "{error}"
    );
    layer_of::<W8A8>().unwrap();
    layer_of::<W4A8>().unwrap();
}
