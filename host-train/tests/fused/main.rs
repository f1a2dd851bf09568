//! The fused operations against candle's own: values and gradients in f64, the bits on one, two and three threads, a hundred steps of training.

mod common;

use ancestral::schedule::Prediction;
use candle_core::{DType, Device, Tensor, Var};
use host_train::data::{self, Split};
use host_train::fused::adamw::Adam;
use host_train::fused::device::Products;
use host_train::fused::elbo::Rows;
use host_train::fused::lanes::Activation;
use host_train::fused::mlp::Mlp;
use host_train::fused::square::mean_square;
use host_train::fused::stack::Layer;
use host_train::optimizer::Update;
use host_train::rng::{Counter, RandomSource, TrainRng};
use host_train::train::checkpoint::{CHECKPOINT, Run};
use host_train::train::config::{Config, Generator};
use host_train::train::loss::{Draws, Dropout};
use host_train::train::{LOSSES, Session, train};
use proptest::prelude::*;
use std::sync::atomic::AtomicBool;

/// Numbers whose sums of products are exact in f32 for two layers, so that none is on the other side of zero in f64.
fn coarse(n: usize, rng: &mut TrainRng) -> Vec<f32> {
    (0..n).map(|_| (rng.below(17) as f32 - 8.0) / 8.0).collect()
}

fn fine(n: usize, rng: &mut TrainRng) -> Vec<f32> {
    (0..n).map(|_| 0.5 * rng.normal()).collect()
}

/// A network and a batch.
#[derive(Clone)]
struct Case {
    layers: Vec<Layer>,
    activation: Activation,
    inputs: Vec<f32>,
    weights: Vec<f32>,
    biases: Vec<f32>,
    index: Vec<u32>,
    masks: Vec<Vec<f32>>,
    cotangent: Vec<f32>,
}

impl Case {
    fn new(widths: &[usize], rows: usize, table: usize, activation: Activation, masked: bool, seed: u64) -> Self {
        let mut rng = TrainRng::new(seed);
        let numbers = match activation {
            Activation::Relu => coarse,
            Activation::Silu => fine,
        };
        let last = widths.len() - 2;
        let layers: Vec<Layer> = (0..=last)
            .map(|i| Layer {
                rows: widths[i + 1],
                columns: widths[i],
                residual: i < last && widths[i] == widths[i + 1],
            })
            .collect();
        let weights = layers.iter().map(|l| l.rows * l.columns).sum();
        let bias_rows: usize = layers.iter().map(|l| l.rows).sum();
        let masks = if masked { &layers[..last] } else { &[] };
        Self {
            inputs: numbers(rows * widths[0], &mut rng),
            weights: numbers(weights, &mut rng),
            biases: numbers(table * bias_rows, &mut rng),
            index: (0..rows).map(|_| rng.below(table) as u32).collect(),
            masks: masks
                .iter()
                .map(|l| (0..rows * l.rows).map(|_| [0.0, 2.0][rng.below(2)]).collect())
                .collect(),
            cotangent: fine(rows * widths[last + 1], &mut rng),
            layers,
            activation,
        }
    }

    fn rows(&self) -> usize {
        self.index.len()
    }

    fn bias_rows(&self) -> usize {
        self.layers.iter().map(|l| l.rows).sum()
    }

    fn var(values: &[f32], shape: (usize, usize), dtype: DType, device: &Device) -> Var {
        let tensor = Tensor::from_slice(values, shape, device).unwrap();
        Var::from_tensor(&tensor.to_dtype(dtype).unwrap()).unwrap()
    }

    fn vars(&self, dtype: DType, device: &Device) -> [Var; 3] {
        [
            Self::var(&self.inputs, (self.rows(), self.layers[0].columns), dtype, device),
            Self::var(&self.weights, (1, self.weights.len()), dtype, device),
            Self::var(
                &self.biases,
                (self.biases.len() / self.bias_rows(), self.bias_rows()),
                dtype,
                device,
            ),
        ]
    }

    fn masks(&self, dtype: DType, device: &Device) -> Vec<Tensor> {
        self.masks
            .iter()
            .zip(&self.layers)
            .map(|(m, l)| Self::var(m, (self.rows(), l.rows), dtype, device).as_tensor().detach())
            .collect()
    }

    fn outputs(&self) -> (usize, usize) {
        (self.rows(), self.layers[self.layers.len() - 1].rows)
    }

    /// Output and gradients: of inputs, weights, biases.
    fn fused(&self, device: &Device, products: Products) -> [Vec<f64>; 4] {
        let [inputs, weights, biases] = self.vars(DType::F32, device);
        let mut mlp = Mlp::new(self.layers.clone(), self.activation).unwrap();
        mlp.set_products(products);
        let flat = weights.flatten_all().unwrap();
        let run = || {
            let masks = self.masks(DType::F32, device);
            mlp.forward(&inputs, &flat, &biases, self.index.clone().into(), &masks)
                .unwrap()
        };
        // The second is computed in the memory of the first.
        drop(run());
        let out = run();
        let cotangent = Tensor::from_slice(&self.cotangent, self.outputs(), device).unwrap();
        let loss = (&out * cotangent).unwrap().sum_all().unwrap();
        let first = loss.backward().unwrap();
        let again = loss.backward().unwrap();
        let of = |var: &Var| {
            let found = wide(first.get(var).unwrap());
            assert_eq!(found, wide(again.get(var).unwrap()), "a second backward pass differs");
            found
        };
        [wide(&out), of(&inputs), of(&weights), of(&biases)]
    }

    /// The same from candle's operations in f64.
    fn plain(&self) -> [Vec<f64>; 4] {
        let [inputs, weights, biases] = self.vars(DType::F64, &Device::Cpu);
        let masks = self.masks(DType::F64, &Device::Cpu);
        let index = Tensor::from_slice(&self.index, self.rows(), &Device::Cpu).unwrap();
        let table = biases.index_select(&index, 0).unwrap();
        let flat = weights.flatten_all().unwrap();
        let (mut h, mut weight, mut bias) = (inputs.as_tensor().clone(), 0, 0);
        let last = self.layers.len() - 1;
        for (i, l) in self.layers.iter().enumerate() {
            let w = flat.narrow(0, weight, l.rows * l.columns).unwrap();
            let w = w.reshape((l.rows, l.columns)).unwrap();
            let sum = (h.matmul(&w.t().unwrap()).unwrap() + table.narrow(1, bias, l.rows).unwrap()).unwrap();
            weight += l.rows * l.columns;
            bias += l.rows;
            if i == last {
                h = sum;
                break;
            }
            let mut y = match self.activation {
                Activation::Relu => sum.relu().unwrap(),
                Activation::Silu => (&sum * candle_nn::ops::sigmoid(&sum).unwrap()).unwrap(),
            };
            if let Some(mask) = masks.get(i) {
                y = (y * mask).unwrap();
            }
            h = if l.residual { (h + y).unwrap() } else { y };
        }
        let cotangent = Tensor::from_slice(&self.cotangent, self.outputs(), &Device::Cpu).unwrap();
        let gradients = (&h * cotangent.to_dtype(DType::F64).unwrap())
            .unwrap()
            .sum_all()
            .unwrap()
            .backward()
            .unwrap();
        let of = |var: &Var| wide(gradients.get(var).unwrap());
        [wide(&h), of(&inputs), of(&weights), of(&biases)]
    }

    fn check(&self) {
        self.check_on(&Device::Cpu, Products::F32, 4e-6);
    }

    fn check_on(&self, device: &Device, products: Products, share: f64) {
        let names = ["output", "inputs", "weights", "biases"];
        for ((fused, plain), name) in self.fused(device, products).iter().zip(&self.plain()).zip(names) {
            close(fused, plain, share, name);
        }
    }
}

fn wide(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap();
    flat.to_vec1().unwrap()
}

/// Within a share of the largest.
fn close(found: &[f64], expected: &[f64], share: f64, name: &str) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let largest = expected.iter().fold(1e-3f64, |m, v| m.max(v.abs()));
    for (a, b) in found.iter().zip(expected) {
        assert!(
            (a - b).abs() <= share * largest,
            "{name}: {a} instead of {b}, largest {largest}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn rectified_networks_are_candles(a in 1usize..24, b in 1usize..24, out in 1usize..12, rows in 1usize..300, table in 1usize..6, masked: bool, square: bool, seed: u64) {
        let widths = if square { vec![a, a, a, out] } else { vec![a, b, b, out] };
        Case::new(&widths, rows, table, Activation::Relu, masked, seed).check();
    }

    #[test]
    fn smooth_networks_are_candles(widths in prop::collection::vec(1usize..24, 2..7), rows in 1usize..300, table in 1usize..6, masked: bool, seed: u64) {
        Case::new(&widths, rows, table, Activation::Silu, masked, seed).check();
    }

    #[test]
    fn the_elbo_is_candles(rows in 1usize..40, dim in 1usize..40, steps in 1usize..20, x: bool, seed: u64) {
        elbo_case(&Device::Cpu, rows, dim, steps, if x { Prediction::X } else { Prediction::V }, seed);
    }
}

#[test]
fn layers_wider_than_a_piece_are_candles() {
    Case::new(&[5, 300, 300, 3], 260, 2, Activation::Silu, true, 9).check();
    Case::new(&[700, 2], 3, 1, Activation::Relu, false, 9).check();
}

#[test]
fn one_two_and_three_threads_give_the_same_bits() {
    for activation in [Activation::Relu, Activation::Silu] {
        let case = Case::new(&[40, 300, 300, 40], 700, 5, activation, true, 4);
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| case.fused(&Device::Cpu, Products::F32))
        };
        let one = on(1);
        assert!(one == on(2) && one == on(3));
    }
}

#[test]
fn shapes_that_do_not_fit_are_named() {
    let layer = |rows, columns, residual| Layer {
        rows,
        columns,
        residual,
    };
    for (layers, part) in [
        (vec![], "at least one layer"),
        (vec![layer(0, 3, false)], "no rows"),
        (vec![layer(2, 3, false), layer(2, 3, false)], "does not take"),
        (vec![layer(3, 3, true)], "cannot be residual"),
    ] {
        let error = Mlp::new(layers, Activation::Relu).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let mlp = Mlp::new(vec![layer(2, 3, false)], Activation::Relu).unwrap();
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    for (inputs, weights, biases, index, part) in [
        ([4, 2], 6, [1, 2], 0, "inputs"),
        ([4, 3], 5, [1, 2], 0, "weights"),
        ([4, 3], 6, [1, 3], 0, "biases"),
        ([4, 3], 6, [1, 2], 1, "beyond the table"),
    ] {
        let error = mlp.forward(
            &zeros(&inputs),
            &zeros(&[weights]),
            &zeros(&biases),
            vec![index; 4].into(),
            &[],
        );
        let error = error.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let wide = zeros(&[4, 3]).to_dtype(DType::F64).unwrap();
    let error = mlp
        .forward(&wide, &zeros(&[6]), &zeros(&[1, 2]), vec![0; 4].into(), &[])
        .unwrap_err();
    assert!(error.to_string().contains("f32"), "{error}");
}

/// z_t and the cost of a step, with what γ and the output get back.
fn elbo_case(device: &Device, rows: usize, dim: usize, steps: usize, prediction: Prediction, seed: u64) {
    let mut rng = TrainRng::new(seed);
    let mut gamma = -6.0;
    let table: Vec<f32> = (0..=steps)
        .map(|_| {
            gamma += 0.1 + 2.0 * rng.uniform();
            gamma
        })
        .collect();
    let mut t: Vec<u32> = (0..rows).map(|_| 1 + rng.below(steps) as u32).collect();
    if device.is_cuda() {
        t.sort_unstable();
    }
    let numbers: Vec<Vec<f32>> = (0..4).map(|_| fine(rows * dim, &mut rng)).collect();
    // The definition is computed on the CPU.
    let place = |dtype| if dtype == DType::F64 { &Device::Cpu } else { device };
    let at = |i: usize, dtype| {
        let tensor = Tensor::from_slice(&numbers[i], (rows, dim), place(dtype)).unwrap();
        tensor.to_dtype(dtype).unwrap()
    };
    let vars = |dtype| {
        let table = Tensor::from_slice(&table, steps + 1, place(dtype)).unwrap();
        let table = Var::from_tensor(&table.to_dtype(dtype).unwrap()).unwrap();
        (table, Var::from_tensor(&at(2, dtype)).unwrap())
    };
    let ends = |z: Tensor, cost: Tensor, table: &Var, f: &Var, dtype| {
        let along = (&z * at(3, dtype)).unwrap().sum_all().unwrap().backward().unwrap();
        let gradients = cost.backward().unwrap();
        [
            wide(&z),
            wide(&cost),
            wide(along.get(table).unwrap()),
            wide(gradients.get(table).unwrap()),
            wide(gradients.get(f).unwrap()),
        ]
    };
    let fused = {
        let (table, f) = vars(DType::F32);
        let rows = Rows::new(&at(0, DType::F32), &at(1, DType::F32), t.clone().into()).unwrap();
        let cost = rows.cost(&f, &table, prediction).unwrap();
        ends(rows.state(&table).unwrap(), cost, &table, &f, DType::F32)
    };
    let plain = {
        let (table, f) = vars(DType::F64);
        let (x, noise) = (at(0, DType::F64), at(1, DType::F64));
        let pick = |index: Vec<u32>| {
            let index = Tensor::from_vec(index, rows, &Device::Cpu).unwrap();
            table.index_select(&index, 0).unwrap().unsqueeze(1).unwrap()
        };
        let (gamma_t, gamma_s) = (pick(t.clone()), pick(t.iter().map(|t| t - 1).collect()));
        let variance = candle_nn::ops::sigmoid(&gamma_t).unwrap();
        let signal = candle_nn::ops::sigmoid(&gamma_t.neg().unwrap()).unwrap();
        let (alpha, sigma) = (signal.sqrt().unwrap(), variance.sqrt().unwrap());
        let times = |a: &Tensor, b: &Tensor| a.broadcast_mul(b).unwrap();
        let z = (times(&x, &alpha) + times(&noise, &sigma)).unwrap();
        let growth = ((gamma_t - gamma_s).unwrap().exp().unwrap() - 1.0).unwrap();
        let (target, weight) = match prediction {
            Prediction::V => (
                (times(&noise, &alpha) - times(&x, &sigma)).unwrap(),
                (growth * signal).unwrap(),
            ),
            Prediction::X => (x, (growth * (signal / variance).unwrap()).unwrap()),
        };
        let square = (f.as_tensor() - target).unwrap().sqr().unwrap().sum_keepdim(1).unwrap();
        let cost = (weight * square)
            .unwrap()
            .mean_all()
            .unwrap()
            .affine(0.5 * steps as f64, 0.0)
            .unwrap();
        ends(z, cost, &table, &f, DType::F64)
    };
    for (name, (fused, plain)) in ["state", "cost", "gamma by the state", "gamma by the cost", "output"]
        .iter()
        .zip(fused.iter().zip(&plain))
    {
        close(fused, plain, 4e-6, name);
    }
}

#[test]
fn the_squared_error_is_candles() {
    square_case(&Device::Cpu);
}

fn square_case(device: &Device) {
    let mut rng = TrainRng::new(2);
    let (output, target) = (fine(7000, &mut rng), fine(7000, &mut rng));
    let of = |dtype, fused: bool| {
        let place = if fused { device } else { &Device::Cpu };
        let output = Case::var(&output, (70, 100), dtype, place);
        let target = Case::var(&target, (70, 100), dtype, place).as_tensor().detach();
        let loss = if fused {
            mean_square(&output, &target).unwrap()
        } else {
            (output.as_tensor() - target)
                .unwrap()
                .sqr()
                .unwrap()
                .mean_all()
                .unwrap()
        };
        let loss = (loss * 3.0).unwrap();
        let gradients = loss.backward().unwrap();
        [wide(&loss), wide(gradients.get(&output).unwrap())]
    };
    let (fused, plain) = (of(DType::F32, true), of(DType::F64, false));
    close(&fused[0], &plain[0], 1e-6, "loss");
    close(&fused[1], &plain[1], 1e-6, "gradient");
}

/// The loss of each of a hundred steps from candle's own operations.
fn plain_losses(run: &mut Run, split: &Split) -> Vec<f64> {
    let config = run.config.clone();
    let unit = 1.0 / (run.dim as f64 * std::f64::consts::LN_2);
    let mut losses = Vec::new();
    for _ in 0..config.train.steps {
        let batch = config.train.batch;
        let mut counter = Counter {
            seed: config.seed,
            step: run.optimizer.step,
        };
        let counted = config.train.generator == Generator::Counter;
        let chosen: Vec<usize> = match counted {
            true => counter.below(split.train.len(), batch),
            false => (0..batch).map(|_| run.rng.below(split.train.len())).collect(),
        };
        let rows: Vec<f32> = chosen.iter().flat_map(|&row| split.train.row(row).to_vec()).collect();
        let x = Tensor::from_vec(rows, (batch, run.dim), &Device::Cpu).unwrap();
        let dropout = Dropout {
            probability: config.train.dropout,
            hidden: &config.model.hidden,
        };
        let source: &mut dyn RandomSource = if counted { &mut counter } else { &mut run.rng };
        let draws = Draws::new(batch, run.dim, dropout, source, &Device::Cpu).unwrap();
        let draws = draws.in_steps(run.gamma.steps());
        let terms = run.objective(split.train.levels()).elbo_plain(&x, &draws).unwrap();
        losses.push(terms.values().unwrap().iter().map(|v| f64::from(*v)).sum::<f64>() * unit);
        let gradients = terms.total().unwrap().affine(unit, 0.0).unwrap().backward().unwrap();
        let update = Update {
            rate: config.train.learning_rate,
            decay: config.train.weight_decay,
            clip_norm: config.train.clip_norm,
            ema: config.train.ema,
            adam: Adam {
                beta_1: config.train.beta_1,
                beta_2: config.train.beta_2,
                epsilon: config.train.epsilon,
            },
        };
        run.optimizer.update(&gradients, update).unwrap();
    }
    losses
}

fn a_hundred_steps(change: impl Fn(&mut Config)) {
    hundred_steps_on(&Device::Cpu, 1e-5, change);
}

/// A hundred steps on a device are within a share of candle's on the CPU.
fn hundred_steps_on(device: &Device, share: f64, change: impl Fn(&mut Config)) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::read(&common::files(folder.path())).unwrap();
    config.train.steps = 100;
    config.train.log_every = 1;
    // A learning rate that stays, so that the loop above need not know how it moves.
    config.train.warmup = 0;
    config.train.final_fraction = 1.0;
    change(&mut config);
    let split = data::load(&config.data, folder.path()).unwrap();
    let new = |device: &Device| Run::for_data(config.clone(), &split, device).unwrap();
    let plain = plain_losses(&mut new(&Device::Cpu), &split);
    let mut run = new(device);
    let stop = AtomicBool::new(false);
    train(&mut run, &split.train, &Session::quiet(folder.path(), &stop)).unwrap();
    let log = std::fs::read_to_string(folder.path().join(LOSSES)).unwrap();
    let fused: Vec<f64> = log
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(1).unwrap().parse().unwrap())
        .collect();
    assert_eq!(fused.len(), 100);
    for (step, (fused, plain)) in fused.iter().zip(&plain).enumerate() {
        assert!(
            (fused - plain).abs() <= share * plain,
            "step {}: {fused} instead of {plain}",
            step + 1
        );
    }
    assert!(plain[99] < plain[0], "nothing was learned");
}

#[test]
fn a_hundred_steps_of_training_have_candles_loss() {
    a_hundred_steps(|_| {});
    a_hundred_steps(|config| {
        config.model.hidden = vec![64, 64, 64];
        config.train.batch = 200;
        config.train.dropout = 0.1;
    });
    a_hundred_steps(|config| {
        config.model.prediction = Prediction::X;
        config.model.variance = host_train::model::variance::VarianceKind::Rotated;
    });
    a_hundred_steps(|config| {
        config.train.generator = Generator::Counter;
        config.train.dropout = 0.1;
    });
}

#[test]
fn what_is_not_finite_is_found_and_the_checkpoint_is_whole() {
    diverges_on(&Device::Cpu);
}

/// A run that diverges says where, and what it wrote before can be gone on from.
fn diverges_on(device: &Device) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::read(&common::files(folder.path())).unwrap();
    config.train.generator = Generator::Counter;
    config.train.learning_rate = 1e30;
    config.train.warmup = 0;
    let split = data::load(&config.data, folder.path()).unwrap();
    let mut run = Run::for_data(config, &split, device).unwrap();
    let stop = AtomicBool::new(false);
    let error = train(&mut run, &split.train, &Session::quiet(folder.path(), &stop)).unwrap_err();
    assert!(error.to_string().contains("not finite at step"), "{error}");
    let again = Run::resume(&folder.path().join(CHECKPOINT), device).unwrap();
    assert_eq!(again.optimizer.step, 0);
}

/// The same on a GPU, where there is one.
#[cfg(feature = "cuda")]
mod on_gpu {
    use super::*;
    use host_train::train::device;
    use std::path::Path;

    fn gpu() -> Option<Device> {
        match device::select_device(true) {
            Ok(device) => Some(device),
            Err(error) => {
                println!("skipped: {error:#}");
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
        let Some(gpu) = gpu() else { return };
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
        let Some(gpu) = gpu() else { return };
        for (rows, dim, steps) in [(1, 1, 1), (40, 64, 19), (300, 3, 5)] {
            for prediction in [Prediction::V, Prediction::X] {
                elbo_case(&gpu, rows, dim, steps, prediction, 5);
            }
        }
    }

    #[test]
    fn the_squared_error_is_candles() {
        let Some(gpu) = gpu() else { return };
        square_case(&gpu);
    }

    #[test]
    fn a_hundred_steps_of_training_have_candles_loss() {
        let Some(gpu) = gpu() else { return };
        for dropout in [0.0, 0.1] {
            hundred_steps_on(&gpu, 1e-4, |config| {
                config.train.generator = Generator::Counter;
                config.train.dropout = dropout;
            });
        }
        hundred_steps_on(&gpu, 1e-4, |config| {
            config.train.generator = Generator::Counter;
            config.model.variance = host_train::model::variance::VarianceKind::Rotated;
        });
    }

    /// A checkpoint's tensors after fifty steps.
    fn trained(gpu: &Device, graph: bool, folder: &Path) -> Vec<Vec<f32>> {
        let mut config = Config::read(&common::files(folder)).unwrap();
        config.train.steps = 50;
        config.train.generator = Generator::Counter;
        config.train.graph = graph;
        let split = data::load(&config.data, folder).unwrap();
        let mut run = Run::for_data(config, &split, gpu).unwrap();
        let stop = AtomicBool::new(false);
        train(&mut run, &split.train, &Session::quiet(folder, &stop)).unwrap();
        let again = Run::resume(&folder.join(CHECKPOINT), &Device::Cpu).unwrap();
        let slots = again.optimizer.slots.iter();
        slots
            .map(|slot| slot.state.flatten_all().unwrap().to_vec1().unwrap())
            .collect()
    }

    #[test]
    fn a_seed_gives_the_same_bytes_also_as_a_graph() {
        let Some(gpu) = gpu() else { return };
        let folder = tempfile::tempdir().unwrap();
        let first = trained(&gpu, false, folder.path());
        assert_eq!(first, trained(&gpu, false, folder.path()));
        assert_eq!(first, trained(&gpu, true, folder.path()));
    }

    #[test]
    fn what_is_not_finite_is_found_and_the_checkpoint_is_whole() {
        let Some(gpu) = gpu() else { return };
        diverges_on(&gpu);
    }
}
