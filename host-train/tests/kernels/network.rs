//! The network forward and backward.

use crate::emulator::{Emulator, Memory};
use crate::support::{close, normals};
use host_train::fused::device::Products;
use host_train::fused::device::mlp::{self, BatchSpans, GradientSpans, Space};
use host_train::fused::lanes::Activation;
use host_train::fused::stack::{self, LayerShape, Stack, Workspace};
use host_train::rng::TrainRng;
use proptest::prelude::*;

/// A network and a batch.
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
        let layer = |i: usize| LayerShape {
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
            [&self.inputs, &self.weights, &self.biases, &self.gradient].map(|v| Memory::from_values(v));
        let index = Memory::from_values(&self.index);
        let masks: Vec<Memory> = self.masks.iter().map(|m| Memory::from_values(m)).collect();
        let batch = BatchSpans {
            inputs: inputs.span(self.inputs.len()),
            weights: weights.span(self.weights.len()),
            biases: biases.span(self.biases.len()),
            index: index.span(self.n),
            masks: masks.iter().zip(&self.masks).map(|(m, v)| m.span(v.len())).collect(),
        };
        let out = Memory::uninitialized(4 * self.gradient.len());
        let found = [&self.inputs, &self.weights, &self.biases].map(|v| Memory::uninitialized(4 * v.len()));
        let gradients = GradientSpans {
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

    /// The same by the operation for the CPU.
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

    fn check(&self, emulator: &Emulator, products: Products, share: f32) {
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
        let Some(emulator) = Emulator::get("networks_are_those_of_the_cpu") else { return Ok(()) };
        let widths = if square { vec![widths[0]; widths.len()] } else { widths };
        Case::new(&widths, n, entries, Activation::Silu, masked, seed).check(emulator, Products::F32, 1e-5);
    }
}

#[test]
fn rectified_networks_are_those_of_the_cpu() {
    let Some(emulator) = Emulator::get("rectified_networks_are_those_of_the_cpu") else {
        return;
    };
    Case::new(&[6, 16, 16, 4], 70, 3, Activation::Relu, true, 1).check(emulator, Products::F32, 1e-5);
    // A first layer that is residual, and a sum of biases that is cut into parts.
    Case::new(&[8, 8, 3], 1200, 1, Activation::Relu, false, 2).check(emulator, Products::F32, 1e-5);
}

#[test]
fn rounded_products_are_near_those_of_the_cpu() {
    let Some(emulator) = Emulator::get("rounded_products_are_near_those_of_the_cpu") else {
        return;
    };
    for (products, share) in [(Products::Tf32, 2e-3), (Products::Bf16, 3e-2)] {
        // Smooth, so that no sum falls on the other side of zero.
        let case = Case::new(&[8, 12, 12, 5], 60, 3, Activation::Silu, true, 3);
        case.check(emulator, products, share);
        let exact = case.emulated(emulator, Products::F32);
        assert_ne!(case.emulated(emulator, products), exact, "{products:?} rounds nothing");
    }
}

/// One layer in bf16 is the layer in f32 of numbers rounded by the `half` crate, to the bit.
#[test]
fn numbers_are_rounded_to_the_nearest_bf16() {
    let Some(emulator) = Emulator::get("numbers_are_rounded_to_the_nearest_bf16") else {
        return;
    };
    let mut case = Case::new(&[300, 5], 40, 2, Activation::Relu, false, 6);
    let rounded = case.emulated(emulator, Products::Bf16);
    for value in case.inputs.iter_mut().chain(&mut case.weights) {
        *value = half::bf16::from_f32(*value).to_f32();
    }
    assert_eq!(rounded[0], case.emulated(emulator, Products::F32)[0]);
}

#[test]
fn sizes_that_do_not_fit_are_errors() {
    let Some(emulator) = Emulator::get("sizes_that_do_not_fit_are_errors") else {
        return;
    };
    let case = Case::new(&[4, 6, 3], 10, 2, Activation::Relu, false, 1);
    let memory = Memory::uninitialized(4096);
    let batch = |inputs: usize, weights: usize, biases: usize| BatchSpans {
        inputs: memory.span(inputs),
        weights: memory.span(weights),
        biases: memory.span(biases),
        index: memory.span(10),
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
        let out = memory.span(outputs);
        let error = mlp::forward(emulator, &case.stack, &batch, Products::F32, &mut space, out).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
}
