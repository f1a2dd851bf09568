//! Few steps: trained for them, chosen on unseen rows, distilled.

mod common;

use ancestral::schedule::{alpha, sigma};
use candle_core::{Device, Tensor};
use host_train::data::{self, Split};
use host_train::export::{Recipe, export, float_spec};
use host_train::model::variance::VarianceKind;
use host_train::progress::Progress;
use host_train::rng::TrainRng;
use host_train::runtime::evaluate::evaluate;
use host_train::runtime::model_file::{AnyModel, ModelFile};
use host_train::study::paths::Path;
use host_train::study::refit::refit_variances;
use host_train::study::step_search::{SearchSettings, StepSearch};
use host_train::train::checkpoint::Run;
use host_train::train::config::Config;
use host_train::train::distill::{DistillSettings, distill};
use host_train::train::{Session, train};
use std::sync::atomic::AtomicBool;

/// A run that has learned, and its data with rows for validation.
fn base(folder: &std::path::Path) -> (Run, Split) {
    let mut config = Config::read(&common::files(folder)).unwrap();
    config.data.validation_rows = 12.into();
    config.train.steps = 300;
    train_to_the_end(
        Run::for_data(config.clone(), &data::load(&config.data, folder).unwrap(), &Device::Cpu).unwrap(),
        folder,
    )
}

fn train_to_the_end(mut run: Run, folder: &std::path::Path) -> (Run, Split) {
    let split = data::load(&run.config.data, folder).unwrap();
    let stop = AtomicBool::new(false);
    train(&mut run, &split, &Session::quiet(folder, &stop)).unwrap();
    run.optimizer.show_average().unwrap();
    (run, split)
}

fn file(run: &Run) -> ModelFile {
    ModelFile::from_bytes(&float_spec(run).unwrap().to_bytes().unwrap(), "model".into()).unwrap()
}

#[test]
fn training_for_few_steps_lowers_their_elbo() {
    let folder = tempfile::tempdir().unwrap();
    let (run, split) = base(folder.path());
    let settings = SearchSettings {
        grid: 21,
        draws: 300,
        seed: 0,
    };
    let search = StepSearch::new(&run, &split, &settings, &Progress::hidden()).unwrap();
    let table = search.table(Path::Best, VarianceKind::Rotated, 3).unwrap();
    let mut config = run.config.clone();
    config.model.steps = 3;
    config.model.variance = Some(VarianceKind::Rotated);
    let begun = Run::continued(config.clone(), &run, &table.gamma, table.variance().as_ref()).unwrap();
    let before = evaluate(&file(&begun), &split.train, 64, 0, &Progress::hidden()).unwrap();
    // What the table promised about rows, on other rows.
    let on_test = evaluate(&file(&begun), &split.test, 1000, 0, &Progress::hidden()).unwrap();
    assert!(
        (on_test.bits_per_dim - table.test_bits_per_dim).abs() < 0.05,
        "{} {}",
        on_test.bits_per_dim,
        table.test_bits_per_dim
    );
    let (mut trained, split) = train_to_the_end(begun, folder.path());
    let after = evaluate(&file(&trained), &split.train, 64, 0, &Progress::hidden()).unwrap();
    assert!(
        after.bits_per_dim < before.bits_per_dim - 0.02,
        "{} {}",
        before.bits_per_dim,
        after.bits_per_dim
    );

    // A saved run is the same run, variances and basis included.
    let path = folder.path().join("few.safetensors");
    refit_variances(&mut trained, &split, &settings, &Progress::hidden()).unwrap();
    trained.save_weights(&path).unwrap();
    let read = Run::averaged(&path, &Device::Cpu).unwrap();
    assert_eq!(
        float_spec(&trained).unwrap().to_bytes().unwrap(),
        float_spec(&read).unwrap().to_bytes().unwrap()
    );
}

/// On the rows that they are refitted to, the refitted variances cost less than any one factor more or less of them.
#[test]
fn refitted_variances_suit_the_errors() {
    let folder = tempfile::tempdir().unwrap();
    let (run, mut split) = base(folder.path());
    // All rows may count here: the claim is about the arithmetic, not about unseen rows.
    split.validation = split.train.clone();
    let mut config = run.config.clone();
    config.model.steps = 4;
    config.model.variance = Some(VarianceKind::Calibrated);
    let gamma = [-4.0, -1.0, 1.0, 3.0, 6.0];
    let mut few = Run::continued(config, &run, &gamma, None).unwrap();
    let own = evaluate(&file(&few), &split.train, 200, 1, &Progress::hidden())
        .unwrap()
        .diffusion;
    refit_variances(
        &mut few,
        &split,
        &SearchSettings {
            draws: 100,
            ..SearchSettings::default()
        },
        &Progress::hidden(),
    )
    .unwrap();
    let best = evaluate(&file(&few), &split.train, 200, 1, &Progress::hidden())
        .unwrap()
        .diffusion;
    assert!(best < own, "{best} {own}");
    let spec = few.variance.as_ref().unwrap().spec().unwrap();
    for factor in [0.8, 1.25] {
        let mut other = spec.clone();
        other.ratios.iter_mut().for_each(|r| *r *= factor);
        few.variance.as_ref().unwrap().set(&other).unwrap();
        let worse = evaluate(&file(&few), &split.train, 200, 1, &Progress::hidden())
            .unwrap()
            .diffusion;
        assert!(worse > best + 0.005, "{factor}: {worse} {best}");
    }
}

#[test]
fn a_student_does_in_few_steps_what_its_teacher_does_in_many() {
    let folder = tempfile::tempdir().unwrap();
    let (mut run, split) = base(folder.path());
    run.config.model.clip = false;
    let settings = DistillSettings {
        updates: 300,
        batch: 64,
        rate: 2e-3,
        seed: 1,
    };
    let mut students = Vec::new();
    distill(
        &run,
        &split.train,
        2,
        &settings,
        |_, _, _| {},
        |student| {
            students.push(file(student));
            Ok(())
        },
    )
    .unwrap();
    assert_eq!(students.iter().map(|s| s.header().steps).collect::<Vec<_>>(), [4, 2]);

    // The deterministic sampler is a map from noise to data: compare where each takes the same noise.
    let mut deterministic = run.config.clone();
    deterministic.model.eta = 0.0;
    let final_states = |file: &ModelFile| draw(file, 200);
    let gamma: Vec<f32> = run.gamma.values().unwrap().to_vec1().unwrap();
    let gamma: Vec<f64> = gamma.into_iter().map(f64::from).collect();
    let teacher = final_states(&file(
        &Run::continued(deterministic.clone(), &run, &gamma, None).unwrap(),
    ));
    deterministic.model.steps = 2;
    let few: Vec<f64> = gamma.iter().copied().step_by(4).collect();
    let untaught = final_states(&file(&Run::continued(deterministic, &run, &few, None).unwrap()));
    let off = |other: &[f32]| {
        let square: f32 = teacher.iter().zip(other).map(|(a, b)| (a - b).powi(2)).sum();
        square / teacher.len() as f32
    };
    let (taught, untaught) = (off(&final_states(&students[1])), off(&untaught));
    assert!(taught < 0.5 * untaught, "{taught} {untaught}");

    // It has no ELBO, in floats and in integers, and says so.
    let error = evaluate(&students[1], &split.test, 1, 0, &Progress::hidden()).unwrap_err();
    assert!(format!("{error:#}").contains("only draws samples"), "{error:#}");
    let error = distill(&run, &split.train, 3, &settings, |_, _, _| {}, |_| Ok(())).unwrap_err();
    assert!(
        error.to_string().contains("8 steps cannot be halved until 3"),
        "{error}"
    );
}

/// Mean nats of the levels of the rows, as a run's network decodes them at t = 0.
fn decoded_nats(run: &Run, split: &Split) -> f64 {
    let (n, dim) = (split.train.len(), run.dim);
    let x = Tensor::from_slice(&split.train.rows, (n, dim), &Device::Cpu).unwrap();
    let first = run.gamma.wide().unwrap()[0];
    let gamma = Tensor::full(first as f32, (n, 1), &Device::Cpu).unwrap();
    let biases = run.network.biases(&gamma).unwrap();
    let mut rng = TrainRng::new(6);
    let mut sum = 0.0;
    for _ in 0..50 {
        let noise = rng.normals(n, dim, &Device::Cpu).unwrap();
        let z = ((&x * alpha(first)).unwrap() + (noise * sigma(first)).unwrap()).unwrap();
        let f = run.network.forward(&z, &biases).unwrap();
        let nats = run.read_out().level_nats(&x, &z, &f, &gamma).unwrap();
        sum += f64::from(nats.mean_all().unwrap().to_scalar::<f32>().unwrap());
    }
    sum / 50.0
}

/// A network that is the decoder too goes on decoding when it learns to take longer steps.
#[test]
fn a_student_still_decodes() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::read(&common::files(folder.path())).unwrap();
    common::predict_odds(&mut config);
    // So much noise in z_0 that decoding is the network's work.
    config.model.gamma_first = Some(-1.0);
    config.model.learn_gamma = false;
    config.train.steps = 400;
    let split = data::load(&config.data, folder.path()).unwrap();
    let run = Run::for_data(config, &split, &Device::Cpu).unwrap();
    let (run, split) = train_to_the_end(run, folder.path());
    let settings = DistillSettings {
        updates: 300,
        batch: 64,
        rate: 2e-3,
        seed: 1,
    };
    let mut nats = Vec::new();
    let on_student = |student: &Run| {
        nats.push(decoded_nats(student, &split));
        Ok(())
    };
    distill(&run, &split.train, 2, &settings, |_, _, _| {}, on_student).unwrap();
    let teacher = decoded_nats(&run, &split);
    assert_eq!(nats.len(), 2);
    for student in nats {
        // Without lessons at t = 0 it loses 0.07 nats in the first stage and 0.18 by the second.
        assert!(student < teacher + 0.02, "{student} {teacher}");
    }
}

/// The states z_0 of some chains.
fn draw(file: &ModelFile, count: u64) -> Vec<f32> {
    use ancestral::storage::Heap;
    use rand_xoshiro::{Xoshiro128PlusPlus, rand_core::SeedableRng};
    let AnyModel::F32(model) = file.parse().unwrap() else {
        panic!("not f32")
    };
    let mut sampler = ancestral::Sampler::with_storage(&model, Heap::for_model(&model)).unwrap();
    (0..count)
        .flat_map(|seed| sampler.draw(&mut Xoshiro128PlusPlus::seed_from_u64(seed)).to_vec())
        .collect()
}

#[test]
fn a_student_in_integers_is_a_student() {
    let folder = tempfile::tempdir().unwrap();
    let (run, split) = base(folder.path());
    let settings = DistillSettings {
        updates: 20,
        ..DistillSettings::default()
    };
    let mut made = None;
    distill(
        &run,
        &split.train,
        4,
        &settings,
        |_, _, _| {},
        |student| {
            made = Some(export(
                student,
                &Recipe::plain(ancestral::FormatId::W8A16),
                &split.train,
                &Progress::hidden(),
            )?);
            Ok(())
        },
    )
    .unwrap();
    let file = ModelFile::from_bytes(&made.unwrap().bytes, "student".into()).unwrap();
    let AnyModel::W8A16(model) = file.parse().unwrap() else {
        panic!("not w8a16")
    };
    assert!(file.header().samples_only);
    let table = model.step_table();
    for t in 1..=4 {
        let c = table.constants_at(t).unwrap();
        assert_eq!(c.spread, 0, "{t}");
        assert!(c.keep > 0 && c.pull > 0, "{t}");
    }
}

/// A direction with more spread than Q1.14 holds is cut, and the file counts what that costs.
#[test]
fn a_deviation_beyond_the_format_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let (run, split) = base(folder.path());
    let mut config = run.config.clone();
    config.model.steps = 2;
    config.model.variance = Some(VarianceKind::Calibrated);
    let gamma = [-4.0, 0.0, 6.0];
    let few = Run::continued(config, &run, &gamma, None).unwrap();
    let mut spec = few.variance.as_ref().unwrap().spec().unwrap();
    let own = ancestral::schedule::posterior(0.0f64, 6.0).deviation;
    spec.ratios[5] = (2.5 / own).powi(2);
    few.variance.as_ref().unwrap().set(&spec).unwrap();
    let made = |format| {
        let exported = export(&few, &Recipe::plain(format), &split.train, &Progress::hidden()).unwrap();
        ModelFile::from_bytes(&exported.bytes, "model".into()).unwrap()
    };
    let (float, integer) = (made(ancestral::FormatId::F32), made(ancestral::FormatId::W8A16));
    let AnyModel::W8A16(model) = integer.parse().unwrap() else {
        panic!("not w8a16")
    };
    let spreads = model.step_table().reverse_variance.unwrap().spreads;
    assert_eq!(spreads[5], i16::MAX);
    assert!(spreads.iter().filter(|&&s| s == i16::MAX).count() == 1);
    // The error of x̂ is small against either deviation, so the smaller one is the better.
    let bits = |file: &ModelFile| {
        evaluate(file, &split.train, 50, 0, &Progress::hidden())
            .unwrap()
            .bits_per_dim
    };
    let gain = (2.5f64 / 2.0).ln() / (4.0 * std::f64::consts::LN_2);
    let found = bits(&float) - bits(&integer);
    assert!(found > 0.3 * gain && found < gain + 0.02, "{found} {gain}");
}
