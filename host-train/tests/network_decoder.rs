//! The network decoder from training to the model file: the core's ELBO is the loss, and chosen steps keep their
//! promise.

mod common;

use ancestral::number::Number;
use ancestral::storage::Heap;
use ancestral::{Elbo, FormatId, Likelihood};
use candle_core::{Device, Tensor};
use host_train::data::{self, Split};
use host_train::export::{Recipe, export, float_spec, spec_with};
use host_train::model::variance::VarianceKind;
use host_train::progress::Progress;
use host_train::runtime::evaluate::{evaluate, evaluate_state};
use host_train::runtime::model_file::{AnyModel, ModelFile};
use host_train::study::paths::Path;
use host_train::study::refit::refit_variances;
use host_train::study::step_search::{SearchSettings, StepSearch};
use host_train::study::warm_start::start_at;
use host_train::train::checkpoint::Run;
use host_train::train::config::{Config, DecoderKind};
use host_train::train::loss::Draws;
use host_train::train::{Session, train};
use rand_core::SeedableRng;
use rand_xoshiro::Xoshiro128PlusPlus;
use std::sync::atomic::AtomicBool;

/// The kinds of data that a network decodes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Data {
    Levels,
    Continuous,
    /// Continuous values within a range, to which estimates are clipped.
    Bounded,
}

/// Trains a run whose network decodes, with rows for validation.
fn trained(data: Data, steps: u64) -> (Run, Split) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::read(&common::files(folder.path())).unwrap();
    common::predict_odds(&mut config);
    if data != Data::Levels {
        config.model.prediction = host_train::train::config::PredictionKind::V;
        config.data.levels = None;
    }
    if data == Data::Bounded {
        config.data.range = Some([0.0, 4.0]);
        config.model.clip = true;
    }
    config.data.validation_rows = 12.into();
    config.train.steps = steps;
    let split = data::load(&config.data, folder.path()).unwrap();
    let mut run = Run::for_data(config, &split, &Device::Cpu).unwrap();
    let stop = AtomicBool::new(false);
    train(&mut run, &split, &Session::quiet(folder.path(), &stop)).unwrap();
    run.optimizer.show_average().unwrap();
    (run, split)
}

fn file(spec: &ancestral::model::ModelSpec<ancestral::F32>) -> ModelFile {
    ModelFile::from_bytes(&spec.to_bytes().unwrap(), "model".into()).unwrap()
}

fn generator(row: usize) -> Xoshiro128PlusPlus {
    Xoshiro128PlusPlus::seed_from_u64(row as u64)
}

/// Mean terms of some rows by the core, in nats.
fn terms_of_core(model: &ModelFile, split: &Split, rows: usize) -> [f64; 3] {
    let AnyModel::F32(model) = model.parse().unwrap() else {
        panic!("not f32")
    };
    let mut likelihood = Likelihood::with_storage(&model, Heap::for_model(&model)).unwrap();
    let mut sums = [0.0; 3];
    for row in 0..rows {
        let mut rng = generator(row);
        let Elbo {
            reconstruction,
            prior,
            diffusion,
        } = match split.train.row_bytes(row) {
            Some(levels) => likelihood.elbo_of_levels(&levels, &mut rng).unwrap(),
            None => {
                let values = split.train.kind.to_raw(split.train.row(row));
                likelihood.elbo_of_values(&values, &mut rng).unwrap()
            }
        };
        for (sum, term) in sums.iter_mut().zip([reconstruction, prior, diffusion]) {
            *sum += f64::from(term) / rows as f64;
        }
    }
    sums
}

/// The same terms by the loss of training, on the same noise: one batch for each t.
fn terms_of_loss(run: &Run, split: &Split, rows: usize) -> [f64; 3] {
    let (dim, steps, device) = (run.dim, run.gamma.steps(), Device::Cpu);
    let x = Tensor::from_slice(&split.train.rows[..rows * dim], (rows, dim), &device).unwrap();
    let mut rngs: Vec<_> = (0..rows).map(generator).collect();
    let mut sums = [0.0; 3];
    for t in 0..=steps {
        let noise = rngs.iter_mut().flat_map(|rng| (0..dim).map(|_| f32::normal(rng)));
        let draws = Draws {
            share: rows.into(),
            times: vec![t as u32; rows].into(),
            start_fraction: 0.5,
            noise: Tensor::from_vec(noise.collect::<Vec<_>>(), (rows, dim), &device).unwrap(),
            first_noise: None,
            masks: Vec::new(),
        };
        let terms = run.objective(split.train.levels()).elbo_plain(&x, &draws).unwrap();
        let [reconstruction, prior, diffusion] = terms.values().unwrap().map(f64::from);
        // Half of the rows count as drawn for either term.
        sums[0] += 0.5 * reconstruction;
        sums[1] = prior;
        sums[2] += 0.5 * diffusion / steps as f64;
    }
    let scales = match &split.train.kind {
        data::ValueKind::Continuous { scale, .. } => scale.iter().map(|s| f64::from(*s).ln()).sum(),
        data::ValueKind::Levels { .. } => 0.0,
    };
    sums[0] += scales;
    sums
}

#[test]
fn the_exported_elbo_is_the_loss() {
    for data in [Data::Levels, Data::Continuous, Data::Bounded] {
        let (run, split) = trained(data, 150);
        assert_eq!(run.variance.is_some(), data != Data::Levels);
        let rows = 24;
        let core = terms_of_core(&file(&float_spec(&run).unwrap()), &split, rows);
        let loss = terms_of_loss(&run, &split, rows);
        for (name, (core, loss)) in ["reconstruction", "prior", "diffusion"]
            .iter()
            .zip(core.iter().zip(&loss))
        {
            assert!(
                (core - loss).abs() < 2e-3 * (1.0 + core.abs()),
                "{data:?}, {name}: {core} {loss}"
            );
        }
    }
}

/// A chosen table promises its cost on the held-out rows. The core, and a run that starts at the table, keep to it.
#[test]
fn chosen_steps_cost_what_was_promised() {
    for data in [Data::Levels, Data::Continuous] {
        let (run, mut split) = trained(data, 400);
        // Of a handful of rows the noise, matched over the rows, would not be normal.
        split.test = split.train.clone();
        let settings = SearchSettings {
            grid: 31,
            draws: 100,
            seed: 0,
        };
        let progress = Progress::hidden();
        let search = StepSearch::new(&run, &split, &settings, &progress).unwrap();
        let mut found = Vec::new();
        for steps in [1, 2, 4] {
            for kind in [VarianceKind::Posterior, VarianceKind::Rotated] {
                let table = search.table(Path::Best, kind, steps).unwrap();
                assert_eq!(table.calls, steps + 1);
                let model = file(&spec_with(&run, &table).unwrap());
                assert_eq!(
                    (model.header().calls(), model.header().network_decoder),
                    (steps + 1, true)
                );
                let score = evaluate(&model, &split.test, 200, 0, &progress).unwrap();
                let off = score.bits_per_dim - table.test_bits_per_dim;
                assert!(off.abs() < 0.02, "{data:?} {kind:?} {steps}: {off}");
                let mut config = run.config.clone();
                (config.model.steps, config.model.variance) = (steps, Some(kind));
                let begun = file(&float_spec(&start_at(config, &run, &table).unwrap()).unwrap());
                let other = evaluate(&begun, &split.test, 200, 0, &progress).unwrap();
                // Variances of the decoder belong to a run's own variances.
                if data == Data::Levels || kind == VarianceKind::Rotated {
                    assert!(
                        (other.bits_per_dim - score.bits_per_dim).abs() < 1e-3,
                        "{data:?} {kind:?} {steps}: {} {}, gamma {:?} {:?}",
                        other.bits_per_dim,
                        score.bits_per_dim,
                        begun.gamma().unwrap(),
                        table.gamma
                    );
                }
                found.push(table.test_bits_per_dim);
            }
        }
        assert!(
            found[0] > found[1] && found[1] > found[3] && found[2] > found[4],
            "{found:?}"
        );
        // The errors grow with γ, so finitely many steps with the variance of the posterior cost more.
        let many = search
            .table(Path::Even, VarianceKind::Posterior, search.longest())
            .unwrap();
        let limit = search.limit().unwrap();
        assert!(
            data == Data::Continuous || limit < many.test_bits_per_dim,
            "{limit} {many:?}"
        );
        assert!((limit - many.test_bits_per_dim).abs() < 0.6, "{limit} {many:?}");
    }
}

/// The state in Q3.12 costs little, and an integer network little more, at t = 0 too.
#[test]
fn integers_decode_as_floats_do() {
    for data in [Data::Levels, Data::Continuous, Data::Bounded] {
        let (run, split) = trained(data, 400);
        let progress = Progress::hidden();
        let made = |format| {
            let exported = export(&run, &Recipe::plain(format), &split.train, &progress).unwrap();
            ModelFile::from_bytes(&exported.bytes, format!("{format}")).unwrap()
        };
        let (float, integer) = (made(FormatId::F32), made(FormatId::W8A16));
        let exact = evaluate(&float, &split.test, 300, 0, &progress).unwrap();
        let state = evaluate_state(&float, &integer, &split.test, (300, 0), &progress).unwrap();
        let whole = evaluate(&integer, &split.test, 300, 0, &progress).unwrap();
        assert_eq!((exact.calls, state.calls, whole.calls), (9, 9, 9));
        for (found, allowed) in [(&state, 0.01), (&whole, 0.02)] {
            let off = [
                found.reconstruction - exact.reconstruction,
                found.diffusion - exact.diffusion,
            ];
            assert!(
                off.iter().all(|o| o.abs() < allowed),
                "{data:?} {}: {off:?}",
                found.format
            );
        }
    }
}

/// With a network that says nothing, all levels are equally likely. Their variance is less than the data's, and that of
/// the samples is less still: eight steps with the variance of the posterior lose some.
#[test]
fn samples_that_are_too_alike_are_warned_of() {
    let (run, split) = trained(Data::Levels, 1);
    for parameter in run.network.parameters() {
        let name = parameter.name.as_str();
        let value = match name {
            "layer2.weight" => 1e-7,
            "bias" | "embed.out" => 0.0,
            _ => continue,
        };
        let flat = Tensor::full(value as f32, parameter.var.shape(), &Device::Cpu).unwrap();
        parameter.var.set(&flat).unwrap();
    }
    let exported = export(&run, &Recipe::plain(FormatId::F32), &split.train, &Progress::hidden()).unwrap();
    let warning = exported.warnings.iter().find(|w| w.contains("of the data's variance"));
    // Five levels have the variance 1/2.
    let columns = (0..4).map(|d| split.train.rows.iter().skip(d).step_by(4).map(|&x| f64::from(x)));
    let variances = columns.map(|x| {
        let (n, sum) = (x.len() as f64, x.clone().sum::<f64>());
        x.map(|x| (x - sum / n).powi(2)).sum::<f64>() / (n - 1.0)
    });
    let expected = 2.0 / variances.sum::<f64>();
    let found: f64 = warning.unwrap().split("have ").nth(1).unwrap()[..4].parse().unwrap();
    assert!(found < expected + 0.03 && found > 0.5 * expected, "{found} {expected}");
}

/// On the rows that they are refitted to, the decoder's variances cost less than any one factor more or less of them.
#[test]
fn refitted_decoders_suit_the_errors() {
    let (mut run, mut split) = trained(Data::Continuous, 300);
    split.validation = split.train.clone();
    let settings = SearchSettings {
        draws: 100,
        ..SearchSettings::default()
    };
    // Variances that were learned with the network are said to be.
    let unfitted = |run: &Run| {
        let exported = export(run, &Recipe::plain(FormatId::F32), &split.train, &Progress::hidden()).unwrap();
        exported
            .warnings
            .iter()
            .any(|w| w.contains("fitted on training rows alone"))
    };
    assert!(unfitted(&run));
    refit_variances(&mut run, &split, &settings, &Progress::hidden()).unwrap();
    assert!(!unfitted(&run));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    run.save_weights(&path).unwrap();
    assert!(!unfitted(&Run::averaged(&path, &Device::Cpu).unwrap()));
    let reconstruction = |run: &Run| {
        let model = file(&float_spec(run).unwrap());
        evaluate(&model, &split.train, 200, 1, &Progress::hidden())
            .unwrap()
            .reconstruction
    };
    let best = reconstruction(&run);
    let table = run.variance.clone().unwrap();
    let ratios = table.decoder_ratios().unwrap().unwrap();
    for factor in [0.7, 1.4] {
        let other: Vec<f64> = ratios.iter().map(|r| r * factor).collect();
        table.set_decoder(&other).unwrap();
        let worse = reconstruction(&run);
        assert!(worse > best + 0.01, "{factor}: {worse} {best}");
    }
    assert_eq!(run.config.model.decoder, DecoderKind::Network);
}

/// The cheapest path of a single step would end far below the bound of γ_T, where samples lack variance.
#[test]
fn the_cheapest_steps_end_above_the_bound() {
    let (mut run, split) = trained(Data::Continuous, 60);
    run.gamma
        .set(&(0..=8).map(|t| -6.0 + 2.0 * f64::from(t)).collect::<Vec<_>>())
        .unwrap();
    let settings = SearchSettings {
        grid: 33,
        draws: 10,
        seed: 0,
    };
    let mut end = |bound: f64| {
        run.config.model.gamma_last_bound = Some(bound);
        let search = StepSearch::new(&run, &split, &settings, &Progress::hidden()).unwrap();
        *search
            .table(Path::Best, VarianceKind::Rotated, 1)
            .unwrap()
            .gamma
            .last()
            .unwrap()
    };
    assert!(end(-20.0) < 8.5);
    assert!((9.0..=10.0).contains(&end(9.0)));
    // A run that ends below the bound keeps its end.
    assert!((end(15.0) - 10.0).abs() < 1e-4);
}
