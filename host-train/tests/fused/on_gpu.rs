//! The same comparisons on a GPU, if there is one.

use crate::network::Case;
use crate::training::{diverges_on, hundred_steps_on};
use crate::{common, elbo, square};
use candle_core::Device;
use host_train::data;
use host_train::fused::device::Products;
use host_train::fused::lanes::Activation;
use host_train::model::variance::VarianceKind;
use host_train::train::checkpoint::{CHECKPOINT, Run};
use host_train::train::config::{Config, Generator};
use host_train::train::{Session, device, train};
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// Returns the GPU. Reports the test as left out and returns `None` if there is none.
fn find_gpu(test: &str) -> Option<Device> {
    match device::select_device(true) {
        Ok(device) => Some(device),
        Err(error) => {
            common::left_out(test, &format!("{error:#}"));
            None
        }
    }
}

fn case(widths: &[usize], rows: usize, table: usize, activation: Activation, masked: bool) -> Case {
    let mut case = Case::new(widths, rows, table, activation, masked, 11);
    case.index.sort_unstable();
    case
}

#[test]
fn networks_are_candles() {
    let Some(gpu) = find_gpu("networks_are_candles") else {
        return;
    };
    for (activation, masked) in [
        (Activation::Relu, true),
        (Activation::Silu, true),
        (Activation::Silu, false),
    ] {
        for (widths, rows, table) in [
            (vec![5, 16, 16, 3], 70, 4),
            (vec![8, 8, 3], 2000, 1),
            (vec![7, 2], 1, 1),
        ] {
            case(&widths, rows, table, activation, masked).check_on(&gpu, Products::F32, 1e-5);
        }
    }
    let wide = case(&[40, 300, 300, 40], 700, 5, Activation::Silu, true);
    wide.check_on(&gpu, Products::Tf32, 5e-3);
    wide.check_on(&gpu, Products::Bf16, 5e-2);
    assert_eq!(wide.fused(&gpu, Products::F32), wide.fused(&gpu, Products::F32));
}

#[test]
fn the_elbo_is_candles() {
    let Some(gpu) = find_gpu("the_elbo_is_candles") else {
        return;
    };
    for (rows, dim, steps) in [(1, 1, 1), (40, 64, 19), (300, 3, 5)] {
        for read_out in elbo::READ_OUTS {
            elbo::Case::new(rows, dim, steps, read_out, 5).check_on(&gpu);
        }
    }
}

#[test]
fn the_squared_error_is_candles() {
    let Some(gpu) = find_gpu("the_squared_error_is_candles") else {
        return;
    };
    square::check_on(&gpu);
}

#[test]
fn a_hundred_steps_of_training_have_candles_loss() {
    let Some(gpu) = find_gpu("a_hundred_steps_of_training_have_candles_loss") else {
        return;
    };
    for dropout in [0.0, 0.1] {
        hundred_steps_on(&gpu, 1e-4, |config| {
            config.train.generator = Generator::Counter;
            config.train.dropout = dropout;
        });
    }
    hundred_steps_on(&gpu, 1e-4, |config| {
        config.train.generator = Generator::Counter;
        config.model.variance = Some(VarianceKind::Rotated);
    });
    for variance in [VarianceKind::Posterior, VarianceKind::Calibrated] {
        hundred_steps_on(&gpu, 1e-4, |config| {
            common::predict_odds(config);
            config.train.generator = Generator::Counter;
            config.model.variance = Some(variance);
        });
        hundred_steps_on(&gpu, 1e-4, |config| {
            common::decode_values(config);
            config.train.generator = Generator::Counter;
            config.model.variance = Some(variance);
        });
    }
}

/// Trains fifty steps; returns the tensors of the checkpoint.
fn trained(gpu: &Device, graph: bool, folder: &Path) -> Vec<Vec<f32>> {
    let mut config = Config::read(&common::files(folder)).unwrap();
    config.train.steps = 50;
    config.train.generator = Generator::Counter;
    config.train.graph = graph;
    let split = data::load(&config.data, folder).unwrap();
    let mut run = Run::for_data(config, &split, gpu).unwrap();
    let stop = AtomicBool::new(false);
    train(&mut run, &split, &Session::quiet(folder, &stop)).unwrap();
    let again = Run::resume(&folder.join(CHECKPOINT), &Device::Cpu).unwrap();
    let slots = again.optimizer.slots.iter();
    slots
        .map(|slot| slot.state.flatten_all().unwrap().to_vec1().unwrap())
        .collect()
}

#[test]
fn a_seed_gives_the_same_bytes_as_a_graph_too() {
    let Some(gpu) = find_gpu("a_seed_gives_the_same_bytes_as_a_graph_too") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let first = trained(&gpu, false, folder.path());
    assert_eq!(first, trained(&gpu, false, folder.path()));
    assert_eq!(first, trained(&gpu, true, folder.path()));
}

#[test]
fn divergence_is_detected_and_the_checkpoint_is_whole() {
    let Some(gpu) = find_gpu("divergence_is_detected_and_the_checkpoint_is_whole") else {
        return;
    };
    diverges_on(&gpu);
}
