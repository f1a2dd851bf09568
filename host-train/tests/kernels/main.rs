//! What a GPU is told, carried out on the CPU: the kernels themselves, compiled by the C compiler, in the order and with the sizes that a
//! GPU gets them, against the operations for the CPU, which `tests/fused.rs` holds against candle's in f64.
#![cfg(target_os = "linux")]

mod emulator;

use ancestral::schedule::Prediction;
use candle_core::{Device, Tensor, Var};
use emulator::{Emulator, Memory};
use host_train::fused::adamw::Adam;
use host_train::fused::adamw::Row;
use host_train::fused::device::draw::{Draw, quantiles};
use host_train::fused::device::mlp::{self, Batch, Gradients, Space};
use host_train::fused::device::update::{Progress, Slot, Update};
use host_train::fused::device::{Products, elbo};
use host_train::fused::elbo::Rows;
use host_train::fused::lanes::Activation;
use host_train::fused::square::mean_square;
use host_train::fused::stack::{self, Layer, Stack, Workspace};
use host_train::model::parameter::Parameter;
use host_train::optimizer::{self, Optimizer};
use host_train::rng::{Counter, Purpose, TrainRng};
use proptest::prelude::*;

fn normals(n: usize, rng: &mut TrainRng) -> Vec<f32> {
    (0..n).map(|_| 0.5 * rng.normal()).collect()
}

/// Within a share of the largest.
fn close(found: &[f32], expected: &[f32], share: f32, name: &str) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let largest = expected.iter().fold(1e-3f32, |m, v| m.max(v.abs()));
    for (place, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!(
            (a - b).abs() <= share * largest,
            "{name}, place {place}: {a} instead of {b}, largest {largest}"
        );
    }
}

struct Case {
    stack: Stack,
    n: usize,
    inputs: Vec<f32>,
    weights: Vec<f32>,
    biases: Vec<f32>,
    index: Vec<u32>,
    masks: Vec<Vec<f32>>,
    gradient: Vec<f32>,
}

impl Case {
    fn new(widths: &[usize], n: usize, entries: usize, activation: Activation, masked: bool, seed: u64) -> Self {
        let mut rng = TrainRng::new(seed);
        let last = widths.len() - 2;
        let layer = |i: usize| Layer {
            rows: widths[i + 1],
            columns: widths[i],
            residual: i < last && widths[i] == widths[i + 1],
        };
        let stack = Stack::new((0..=last).map(layer).collect(), activation).unwrap();
        let mut index: Vec<u32> = (0..n).map(|_| rng.below(entries) as u32).collect();
        index.sort_unstable();
        let masks = if masked { stack.hidden() } else { Vec::new() };
        Self {
            n,
            inputs: normals(n * stack.inputs(), &mut rng),
            weights: normals(stack.weights(), &mut rng),
            biases: normals(entries * stack.bias_rows(), &mut rng),
            masks: masks
                .iter()
                .map(|rows| (0..n * rows).map(|_| [0.0, 2.0][rng.below(2)]).collect())
                .collect(),
            gradient: normals(n * stack.outputs(), &mut rng),
            index,
            stack,
        }
    }

    /// Outputs and gradients of inputs, weights and biases by the kernels.
    fn emulated(&self, emulator: &Emulator, products: Products) -> [Vec<f32>; 4] {
        let [inputs, weights, biases, gradient] =
            [&self.inputs, &self.weights, &self.biases, &self.gradient].map(|v| Memory::of(v));
        let index = Memory::of(&self.index);
        let masks: Vec<Memory> = self.masks.iter().map(|m| Memory::of(m)).collect();
        let batch = Batch {
            inputs: inputs.span(self.inputs.len()),
            weights: weights.span(self.weights.len()),
            biases: biases.span(self.biases.len()),
            index: index.span(self.n),
            masks: masks.iter().zip(&self.masks).map(|(m, v)| m.span(v.len())).collect(),
        };
        let out = Memory::room(4 * self.gradient.len());
        let found = [&self.inputs, &self.weights, &self.biases].map(|v| Memory::room(4 * v.len()));
        let gradients = Gradients {
            inputs: Some(found[0].span(self.inputs.len())),
            weights: found[1].span(self.weights.len()),
            biases: found[2].span(self.biases.len()),
        };
        let mut space = Space::default();
        // The second pass works in the memory of the first.
        for _ in 0..2 {
            let end = out.span(self.gradient.len());
            mlp::forward(emulator, &self.stack, &batch, products, &mut space, end).unwrap();
            let by = gradient.span(self.gradient.len());
            mlp::backward(emulator, &self.stack, &batch, products, &mut space, by, &gradients).unwrap();
        }
        [
            out.read(self.gradient.len()),
            found[0].read(self.inputs.len()),
            found[1].read(self.weights.len()),
            found[2].read(self.biases.len()),
        ]
    }

    /// The same from the operation for the CPU.
    fn expected(&self) -> [Vec<f32>; 4] {
        let masks: Vec<&[f32]> = self.masks.iter().map(Vec::as_slice).collect();
        let batch = stack::Batch {
            inputs: &self.inputs,
            weights: &self.weights,
            biases: &self.biases,
            index: &self.index,
            masks: &masks,
        };
        let mut space = Workspace::default();
        let out = self.stack.forward(batch, &mut space);
        let found = self.stack.backward(batch, &mut space, &self.gradient, true);
        [out, found.inputs.unwrap(), found.weights, found.biases]
    }

    fn check(&self, products: Products, share: f32) {
        let Some(emulator) = Emulator::get() else { return };
        let names = ["outputs", "inputs", "weights", "biases"];
        for ((found, expected), name) in self.emulated(emulator, products).iter().zip(self.expected()).zip(names) {
            close(found, &expected, share, name);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn networks_are_those_of_the_cpu(widths in prop::collection::vec(1usize..24, 2..6), square: bool, n in 1usize..150, entries in 1usize..6, masked: bool, seed: u64) {
        let widths = if square { vec![widths[0]; widths.len()] } else { widths };
        Case::new(&widths, n, entries, Activation::Silu, masked, seed).check(Products::F32, 1e-5);
    }

    #[test]
    fn the_elbo_is_that_of_the_cpu(n in 1usize..40, dim in 1usize..70, steps in 1usize..20, x: bool, seed: u64) {
        elbo_case(n, dim, steps, if x { Prediction::X } else { Prediction::V }, seed);
    }
}

#[test]
fn rectified_networks_are_those_of_the_cpu() {
    Case::new(&[6, 16, 16, 4], 70, 3, Activation::Relu, true, 1).check(Products::F32, 1e-5);
    // A first layer that is residual, and a sum of biases that is cut into parts.
    Case::new(&[8, 8, 3], 1200, 1, Activation::Relu, false, 2).check(Products::F32, 1e-5);
}

#[test]
fn rounded_products_are_near_those_of_the_cpu() {
    for (products, share) in [(Products::Tf32, 2e-3), (Products::Bf16, 3e-2)] {
        // Smooth, so that no sum falls on the other side of zero.
        let case = Case::new(&[8, 12, 12, 5], 60, 3, Activation::Silu, true, 3);
        case.check(products, share);
        let Some(emulator) = Emulator::get() else { return };
        let exact = case.emulated(emulator, Products::F32);
        assert_ne!(case.emulated(emulator, products), exact, "{products:?} rounds nothing");
    }
}

/// One layer in bf16 is the layer in f32 of numbers rounded by the `half` crate, to the bit.
#[test]
fn numbers_are_rounded_to_the_nearest_bf16() {
    let Some(emulator) = Emulator::get() else { return };
    let mut case = Case::new(&[300, 5], 40, 2, Activation::Relu, false, 6);
    let rounded = case.emulated(emulator, Products::Bf16);
    for value in case.inputs.iter_mut().chain(&mut case.weights) {
        *value = half::bf16::from_f32(*value).to_f32();
    }
    assert_eq!(rounded[0], case.emulated(emulator, Products::F32)[0]);
}

fn elbo_case(n: usize, dim: usize, steps: usize, prediction: Prediction, seed: u64) {
    let Some(emulator) = Emulator::get() else { return };
    let mut rng = TrainRng::new(seed);
    let mut gamma = -6.0;
    let table: Vec<f32> = (0..=steps)
        .map(|_| {
            gamma += 0.1 + 2.0 * rng.uniform();
            gamma
        })
        .collect();
    let mut t: Vec<u32> = (0..n).map(|_| 1 + rng.below(steps) as u32).collect();
    t.sort_unstable();
    let numbers: Vec<Vec<f32>> = (0..4).map(|_| normals(n * dim, &mut rng)).collect();

    let tensor = |i: usize| Tensor::from_slice(&numbers[i], (n, dim), &Device::Cpu).unwrap();
    let rows = Rows::new(&tensor(0), &tensor(1), t.clone().into()).unwrap();
    let gamma = Var::from_slice(&table, steps + 1, &Device::Cpu).unwrap();
    let f = Var::from_tensor(&tensor(2)).unwrap();
    let flat = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let z = rows.state(&gamma).unwrap();
    let along = (&z * tensor(3)).unwrap().sum_all().unwrap().backward().unwrap();
    let cost = rows.cost(&f, &gamma, prediction).unwrap();
    let by = (&cost * 0.7).unwrap().backward().unwrap();
    let expected = [
        flat(&z),
        flat(along.get(&gamma).unwrap()),
        flat(&cost),
        flat(by.get(&f).unwrap()),
        flat(by.get(&gamma).unwrap()),
    ];

    let memories: Vec<Memory> = numbers.iter().map(|v| Memory::of(v)).collect();
    let (times, gammas, upstream) = (Memory::of(&t), Memory::of(&table), Memory::of(&[0.7f32]));
    let size = n * dim;
    let rows = elbo::Rows {
        x: memories[0].span(size),
        noise: memories[1].span(size),
        t: times.span(n),
        table: gammas.span(steps + 1),
    };
    let sizes = [size, steps + 1, 1, size, steps + 1];
    let out = sizes.map(|len| Memory::room(4 * len));
    rows.state(emulator, out[0].span(size)).unwrap();
    rows.state_gradient(emulator, memories[3].span(size), out[1].span(steps + 1))
        .unwrap();
    rows.cost(emulator, memories[2].span(size), prediction, out[2].span(1))
        .unwrap();
    let (by_output, by_table) = (out[3].span(size), out[4].span(steps + 1));
    rows.cost_gradient(
        emulator,
        memories[2].span(size),
        prediction,
        upstream.span(1),
        by_output,
        by_table,
    )
    .unwrap();
    let names = ["state", "gamma by the state", "cost", "output", "gamma by the cost"];
    for (((out, len), expected), name) in out.iter().zip(sizes).zip(&expected).zip(names) {
        close(&out.read(len), expected, 4e-6, name);
    }
}

#[test]
fn the_squared_error_is_that_of_the_cpu() {
    let Some(emulator) = Emulator::get() else { return };
    let mut rng = TrainRng::new(4);
    let n = 5000;
    let (output, target) = (normals(n, &mut rng), normals(n, &mut rng));
    let var = Var::from_slice(&output, n, &Device::Cpu).unwrap();
    let loss = mean_square(&var, &Tensor::from_slice(&target, n, &Device::Cpu).unwrap()).unwrap();
    let by = (&loss * 3.0).unwrap().backward().unwrap();
    let expected: Vec<f32> = by.get(&var).unwrap().to_vec1().unwrap();

    let (output, target, upstream) = (Memory::of(&output), Memory::of(&target), Memory::of(&[3.0f32]));
    let (mean, gradient) = (Memory::room(4), Memory::room(4 * n));
    elbo::mean_square(emulator, output.span(n), target.span(n), mean.span(1)).unwrap();
    let out = gradient.span(n);
    elbo::mean_square_gradient(emulator, output.span(n), target.span(n), upstream.span(1), out).unwrap();
    close(&mean.read(1), &[loss.to_scalar().unwrap()], 1e-6, "loss");
    close(&gradient.read(n), &expected, 1e-6, "gradient");
}

/// Everything that is drawn is drawn to the bit.
#[test]
fn draws_are_those_of_the_cpu() {
    let Some(emulator) = Emulator::get() else { return };
    let (seed, step) = (0x1234_5678_9ABC_DEF0, (7 << 32) + 3);
    let counter = Counter { seed, step };
    let (at, table) = (Memory::of(&[step]), Memory::of(&quantiles()));
    let draw = Draw {
        seed,
        step: at.span(1),
        table: table.span(quantiles().len()),
    };
    for n in [1, 6, 4000] {
        let noise = Memory::room(4 * n);
        draw.normals(emulator, Purpose::Noise, noise.span(n)).unwrap();
        assert_eq!(noise.read::<f32>(n), counter.normals(Purpose::Noise, n, 1));

        let mask = Memory::room(4 * n);
        draw.masks(emulator, Purpose::Mask(2), 0.1, mask.span(n)).unwrap();
        let expected = host_train::train::loss::mask_uniforms(counter.uniforms(Purpose::Mask(2), n, 1), 0.1);
        assert_eq!(mask.read::<f32>(n), expected);

        let t = Memory::room(4 * n);
        draw.times(emulator, 64, t.span(n)).unwrap();
        assert_eq!(
            t.read::<u32>(n),
            host_train::train::loss::times_to_steps(counter.times(n), 64)
        );

        let (total, dim) = (211, 3);
        let data: Vec<f32> = (0..total * dim).map(|i| i as f32).collect();
        let (from, out) = (Memory::of(&data), Memory::room(4 * n * dim));
        draw.rows(emulator, from.span(data.len()), dim, out.span(n * dim))
            .unwrap();
        let rows = counter.below(total, n);
        let expected: Vec<f32> = rows
            .iter()
            .flat_map(|r| &data[r * dim..(r + 1) * dim])
            .copied()
            .collect();
        assert_eq!(out.read::<f32>(n * dim), expected);
    }
}

const ADAM: Adam = Adam {
    beta_1: 0.9,
    beta_2: 0.99,
    epsilon: 1e-8,
};

/// Twenty updates of more parameters than one launch takes, one of them without a gradient, and then one that is not finite.
#[test]
fn updates_are_those_of_the_cpu() {
    let Some(emulator) = Emulator::get() else { return };
    let mut rng = TrainRng::new(5);
    let sizes: Vec<usize> = (0..60).map(|i| 1 + (i * 37) % 50).collect();
    let vars: Vec<Var> = sizes
        .iter()
        .map(|&n| Var::from_vec(normals(n, &mut rng), n, &Device::Cpu).unwrap())
        .collect();
    let slot = |(i, var): (usize, &Var)| {
        let parameter = Parameter {
            name: format!("p{i}"),
            var: var.clone(),
            decays: i % 2 == 0,
        };
        (parameter, 1.0 + (i % 3) as f64)
    };
    let slots: Vec<_> = vars.iter().enumerate().map(slot).collect();
    let scales: Vec<f64> = slots.iter().map(|(_, scale)| *scale).collect();
    let mut cpu = Optimizer::new(slots).unwrap();

    let total: usize = sizes.iter().sum();
    let begin: Vec<f32> = vars
        .iter()
        .flat_map(|var| {
            let v: Vec<f32> = var.to_vec1().unwrap();
            let zero = vec![0.0; v.len()];
            [v.clone(), zero.clone(), zero, v].concat()
        })
        .collect();
    let state = Memory::of(&begin);
    let values: Vec<Memory> = vars.iter().map(|v| Memory::of(&v.to_vec1::<f32>().unwrap())).collect();
    let settings = optimizer::Update {
        rate: 0.01,
        decay: 0.1,
        clip_norm: 3.0,
        ema: 0.9,
        adam: ADAM,
    };
    let progress = Memory::of(&Progress::default().words());
    let plan: Vec<u64> = (1..=30).flat_map(|step| settings.row(step).words()).collect();
    assert_eq!(plan.len(), 30 * size_of::<Row>() / 8);
    let plan_len = plan.len();
    let plan = Memory::of(&plan);
    let term = Memory::of(&[1.0f32, 2.0, 3.0]);
    let unit = 0.5;
    let without = 7;
    let update = |gradients: &[Vec<f32>]| {
        let gradients: Vec<Memory> = gradients.iter().map(|g| Memory::of(g)).collect();
        let slots = (0..sizes.len()).map(|i| Slot {
            gradient: (i != without).then(|| gradients[i].span(sizes[i])),
            value: values[i].span(sizes[i]),
            rate_scale: scales[i],
            decay: if i % 2 == 0 { settings.decay } else { 0.0 },
        });
        let update = Update {
            slots: slots.collect(),
            state: state.span(4 * total),
            progress: progress.span(9),
            plan: plan.span(plan_len),
            terms: [Some(term.span(1)), None, Some(term.span(1))],
            unit,
            clip: settings.clip_norm,
            adam: settings.adam,
        };
        update.run(emulator).unwrap();
        let words: Vec<u64> = progress.read(9);
        Progress::of(words.try_into().unwrap())
    };
    for step in 1..=20u64 {
        let gradients: Vec<Vec<f32>> = sizes.iter().map(|&n| normals(n, &mut rng)).collect();
        let loss = vars.iter().zip(&gradients).enumerate().filter(|(i, _)| *i != without);
        let loss = loss
            .map(|(_, (var, g))| {
                let g = Tensor::from_slice(g, g.len(), &Device::Cpu).unwrap();
                (var.as_tensor() * g).unwrap().sum_all().unwrap()
            })
            .reduce(|a, b| (a + b).unwrap())
            .unwrap();
        let norm = cpu.update(&loss.backward().unwrap(), settings).unwrap();
        let found = update(&gradients);
        assert_eq!((found.step, found.bad, found.count), (step, 0, step));
        assert!((found.norm - norm).abs() < 1e-5 * norm);
        assert!((found.scale - (settings.clip_norm / norm).min(1.0)).abs() < 1e-5);
        assert_eq!(found.sums, [0.5 * step as f64, 0.0, 0.5 * step as f64]);
        let words: Vec<u64> = progress.read(9);
        let sums = &words[Progress::SUMS..Progress::SUMS + 3];
        assert_eq!(sums, found.sums.map(f64::to_bits));
        assert_eq!(
            (words[Progress::COUNT], words[Progress::PLANNED]),
            (found.count, found.planned)
        );
    }
    let expected: Vec<f32> = cpu
        .slots
        .iter()
        .flat_map(|s| s.state.flatten_all().unwrap().to_vec1().unwrap())
        .collect();
    let before: Vec<f32> = state.read(4 * total);
    close(&before, &expected, 1e-5, "state");
    for (value, var) in values.iter().zip(&vars) {
        close(
            &value.read(var.elem_count()),
            &var.to_vec1::<f32>().unwrap(),
            1e-5,
            "value",
        );
    }

    // From the first that is not a number on, nothing changes, and it is said which it was.
    let mut gradients: Vec<Vec<f32>> = sizes.iter().map(|&n| vec![0.1; n]).collect();
    gradients[3][0] = f32::NAN;
    assert_eq!((update(&gradients).step, update(&gradients).bad), (20, 21));
    gradients[3][0] = 0.1;
    assert_eq!((update(&gradients).step, update(&gradients).bad), (20, 21));
    assert_eq!(before, state.read::<f32>(4 * total));
}

#[test]
fn sizes_that_do_not_fit_are_errors() {
    let Some(emulator) = Emulator::get() else { return };
    let case = Case::new(&[4, 6, 3], 10, 2, Activation::Relu, false, 1);
    let room = Memory::room(4096);
    let batch = |inputs: usize, weights: usize, biases: usize| Batch {
        inputs: room.span(inputs),
        weights: room.span(weights),
        biases: room.span(biases),
        index: room.span(10),
        masks: Vec::new(),
    };
    let weights = case.stack.weights();
    for (batch, outputs, part) in [
        (batch(39, weights, 18), 30, "inputs"),
        (batch(40, weights + 1, 18), 30, "weights"),
        (batch(40, weights, 17), 30, "biases"),
        (batch(40, weights, 18), 31, "outputs"),
    ] {
        let mut space = Space::default();
        let out = room.span(outputs);
        let error = mlp::forward(emulator, &case.stack, &batch, Products::F32, &mut space, out).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
}
