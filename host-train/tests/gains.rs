//! Gains of the network's output: fitted on validation rows, and the same wherever a run is measured.

mod common;

use ancestral::FormatId;
use candle_core::{Device, Tensor};
use host_train::data::{self, Split};
use host_train::export::{Recipe, export, float_spec, spec_with};
use host_train::model::gain::GainCurve;
use host_train::model::variance::VarianceKind;
use host_train::progress::Progress;
use host_train::rng::TrainRng;
use host_train::runtime::evaluate::evaluate;
use host_train::runtime::model_file::ModelFile;
use host_train::runtime::units::bits_per_nat;
use host_train::study::gains::fit_gains;
use host_train::study::paths::Path;
use host_train::study::step_search::{SearchSettings, StepSearch};
use host_train::train::checkpoint::Run;
use host_train::train::config::Config;
use host_train::train::loss::{Draws, Dropout};
use host_train::train::{Session, train};
use std::sync::atomic::AtomicBool;

/// A trained run with the network as decoder, whose rows all count for validation too.
fn trained(change: fn(&mut Config)) -> (Run, Split) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::read(&common::files(folder.path())).unwrap();
    change(&mut config);
    config.train.steps = 400;
    // So much noise in z_0 that the network has a share in decoding.
    config.model.gamma_first = Some(-1.0);
    config.model.learn_gamma = false;
    let mut split = data::load(&config.data, folder.path()).unwrap();
    split.validation = split.train.clone();
    let mut run = Run::for_data(config, &split, &Device::Cpu).unwrap();
    let stop = AtomicBool::new(false);
    train(&mut run, &split, &Session::quiet(folder.path(), &stop)).unwrap();
    run.optimizer.show_average().unwrap();
    (run, split)
}

fn steep() -> GainCurve {
    GainCurve::new(&[(-1.0, 0.55), (2.0, 0.7), (6.0, 0.9)]).unwrap()
}

fn bits(file: &ModelFile, split: &Split) -> f64 {
    evaluate(file, &split.train, 200, 0, &Progress::hidden())
        .unwrap()
        .bits_per_dim
}

fn float_file(run: &Run) -> ModelFile {
    ModelFile::from_bytes(&float_spec(run).unwrap().to_bytes().unwrap(), "run".into()).unwrap()
}

/// Mean of the loss over many draws, in bits per dimension.
fn loss(run: &Run, split: &Split) -> f64 {
    let rows = &split.train;
    let x = Tensor::from_slice(&rows.rows, (rows.len(), rows.dim), &Device::Cpu).unwrap();
    let (mut rng, mut sum, count) = (TrainRng::new(4), 0.0, 4000);
    for _ in 0..count {
        let decoder = run.config.model.decoder;
        let mut draws = Draws::new(rows.len(), rows.dim, decoder, Dropout::NONE, &mut rng, &Device::Cpu).unwrap();
        // Times are stratified by place, and a row has the same place in every batch.
        for i in (1..rows.len()).rev() {
            draws.times.swap(i, rng.below(i + 1));
        }
        let draws = draws.in_steps(run.gamma.steps());
        let terms = run.objective(rows.levels()).elbo(&x, &draws).unwrap().values().unwrap();
        sum += terms.iter().map(|term| f64::from(*term)).sum::<f64>();
    }
    sum / f64::from(count) * bits_per_nat(rows.dim) + run.kind.bits_of_scale()
}

/// The loss, the errors that steps are chosen by and the core's own ELBO read the output with the same gain.
fn all_measures_agree(change: fn(&mut Config)) {
    let (mut run, split) = trained(change);
    let without = bits(&float_file(&run), &split);
    run.network.set_gains(Some(steep()));
    let core = bits(&float_file(&run), &split);
    assert!((core - without).abs() > 0.05, "{core} {without}");
    let trained_by = loss(&run, &split);
    assert!((trained_by - core).abs() < 0.02, "loss {trained_by}, core {core}");
    let own = split.train.clone();
    let measured = Split {
        test: own,
        ..split.clone()
    };
    let settings = SearchSettings {
        grid: 33,
        draws: 60,
        seed: 0,
    };
    let search = StepSearch::new(&run, &measured, &settings, &Progress::hidden()).unwrap();
    let table = search.table(Path::Even, VarianceKind::Calibrated, 8).unwrap();
    let spec = spec_with(&run, &table).unwrap();
    let chosen = bits(
        &ModelFile::from_bytes(&spec.to_bytes().unwrap(), "chosen".into()).unwrap(),
        &split,
    );
    assert!(
        (table.test_bits_per_dim - chosen).abs() < 0.02,
        "study {}, core {chosen}",
        table.test_bits_per_dim
    );
}

#[test]
fn all_measures_of_odds_agree() {
    all_measures_agree(common::predict_odds);
}

#[test]
fn all_measures_of_values_agree() {
    all_measures_agree(common::decode_values);
}

/// Multiplies the output of a network, as if it had become too sure.
fn exaggerate(run: &Run, factor: f64) {
    let dim = run.dim;
    for parameter in run.network.parameters() {
        let value = parameter.var.as_tensor();
        let (rows, columns) = value.dims2().unwrap();
        let scaled = match parameter.name.as_str() {
            "layer2.weight" => (value * factor).unwrap(),
            // The last of all layers' biases are the output's.
            "bias" | "embed.out" => {
                let rest = value.narrow(1, 0, columns - dim).unwrap();
                let own = (value.narrow(1, columns - dim, dim).unwrap() * factor).unwrap();
                Tensor::cat(&[rest, own], 1).unwrap()
            }
            _ => continue,
        };
        assert_eq!(scaled.dims(), [rows, columns]);
        parameter.var.set(&scaled.contiguous().unwrap()).unwrap();
    }
}

/// An output that is too large by a factor gets it back as its gain, and with it its likelihood.
#[test]
fn an_exaggeration_is_undone() {
    let (mut run, split) = trained(common::predict_odds);
    fit_gains(&mut run, &split.validation, &Progress::hidden()).unwrap();
    let (before, honest) = (run.network.gains().unwrap().clone(), bits(&float_file(&run), &split));
    run.network.set_gains(None);
    exaggerate(&run, 1.6);
    let loud = bits(&float_file(&run), &split);
    assert!(loud > honest + 0.05, "{loud} {honest}");
    fit_gains(&mut run, &split.validation, &Progress::hidden()).unwrap();
    let fitted = bits(&float_file(&run), &split);
    assert!(fitted < honest + 0.1 * (loud - honest), "{fitted} {honest} {loud}");
    let gains = run.network.gains().unwrap();
    // At the steps that tell most.
    for gamma in [-1.0, 0.0, 1.0] {
        let undone = gains.interpolate(gamma) * 1.6 / before.interpolate(gamma);
        assert!(
            (undone - 1.0).abs() < 0.05,
            "{gamma}: {} {}",
            gains.interpolate(gamma),
            before.interpolate(gamma)
        );
    }
}

/// The size of an output that is no log-odds says how widely the data is spread.
#[test]
fn values_get_no_gains() {
    let (mut run, split) = trained(common::decode_values);
    fit_gains(&mut run, &split.validation, &Progress::hidden()).unwrap();
    assert_eq!(run.network.gains(), None);
}

#[test]
fn weights_keep_their_gains_and_training_has_none() {
    let (mut run, split) = trained(common::predict_odds);
    run.network.set_gains(Some(steep()));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    run.save_weights(&path).unwrap();
    let mut read = Run::averaged(&path, &Device::Cpu).unwrap();
    assert_eq!(read.network.gains(), Some(&steep()));
    // One row tells nothing: what is known stays.
    fit_gains(&mut read, &split.train.select(&[0]), &Progress::hidden()).unwrap();
    assert_eq!(read.network.gains(), Some(&steep()));
    read.config.train.steps = 1;
    let stop = AtomicBool::new(false);
    train(&mut read, &split, &Session::quiet(folder.path(), &stop)).unwrap();
    assert_eq!(read.network.gains(), None);
}

/// Calibration and fine-tuning follow the float network with its gains.
#[test]
fn integers_have_the_gains_too() {
    let (mut run, split) = trained(common::predict_odds);
    run.network.set_gains(Some(steep()));
    let float = bits(&float_file(&run), &split);
    let recipe = Recipe {
        finetune: Some(host_train::export::quantize::finetune::FineTune {
            steps: 100,
            ..Default::default()
        }),
        ..Recipe::plain(FormatId::W8A8)
    };
    let made = export(&run, &recipe, &split.train, &Progress::hidden()).unwrap();
    let integers = bits(&ModelFile::from_bytes(&made.bytes, "w8a8".into()).unwrap(), &split);
    assert!((integers - float).abs() < 0.03, "{integers} {float}");
}
