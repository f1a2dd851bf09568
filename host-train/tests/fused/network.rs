//! The network forward and backward.

use crate::support::{close, coarse, fine, var, wide};
use candle_core::{DType, Device, Tensor, Var};
use host_train::fused::device::Products;
use host_train::fused::lanes::Activation;
use host_train::fused::mlp::Mlp;
use host_train::fused::stack::LayerShape;
use host_train::rng::TrainRng;
use proptest::prelude::*;

/// A network and a batch.
#[derive(Clone)]
pub struct Case {
    layers: Vec<LayerShape>,
    activation: Activation,
    inputs: Vec<f32>,
    weights: Vec<f32>,
    biases: Vec<f32>,
    pub index: Vec<u32>,
    masks: Vec<Vec<f32>>,
    cotangent: Vec<f32>,
}

impl Case {
    pub fn new(widths: &[usize], rows: usize, table: usize, activation: Activation, masked: bool, seed: u64) -> Self {
        let mut rng = TrainRng::new(seed);
        let numbers = match activation {
            Activation::Relu => coarse,
            Activation::Silu => fine,
        };
        let last = widths.len() - 2;
        let layers: Vec<LayerShape> = (0..=last)
            .map(|i| LayerShape {
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

    fn vars(&self, dtype: DType, device: &Device) -> [Var; 3] {
        [
            var(&self.inputs, (self.rows(), self.layers[0].columns), dtype, device),
            var(&self.weights, (1, self.weights.len()), dtype, device),
            var(
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
            .map(|(m, l)| var(m, (self.rows(), l.rows), dtype, device).as_tensor().detach())
            .collect()
    }

    fn outputs(&self) -> (usize, usize) {
        (self.rows(), self.layers[self.layers.len() - 1].rows)
    }

    /// Output and gradients of inputs, weights and biases by the fused operation.
    pub fn fused(&self, device: &Device, products: Products) -> [Vec<f64>; 4] {
        let [inputs, weights, biases] = self.vars(DType::F32, device);
        let mut mlp = Mlp::new(self.layers.clone(), self.activation).unwrap();
        mlp.set_products(products);
        let flat = weights.flatten_all().unwrap();
        let run = || {
            let masks = self.masks(DType::F32, device);
            mlp.forward(&inputs, &flat, &biases, self.index.clone().into(), &masks)
                .unwrap()
        };
        // The second pass works in the memory of the first.
        drop(run());
        let out = run();
        let cotangent = Tensor::from_slice(&self.cotangent, self.outputs(), device).unwrap();
        let loss = (&out * cotangent).unwrap().sum_all().unwrap();
        let first = loss.backward().unwrap();
        let again = loss.backward().unwrap();
        let gradient_of = |var: &Var| {
            let found = wide(first.get(var).unwrap());
            assert_eq!(found, wide(again.get(var).unwrap()), "a second backward pass differs");
            found
        };
        [
            wide(&out),
            gradient_of(&inputs),
            gradient_of(&weights),
            gradient_of(&biases),
        ]
    }

    /// The same by candle's operations in f64.
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
        let gradient_of = |var: &Var| wide(gradients.get(var).unwrap());
        [
            wide(&h),
            gradient_of(&inputs),
            gradient_of(&weights),
            gradient_of(&biases),
        ]
    }

    pub fn check(&self) {
        self.check_on(&Device::Cpu, Products::F32, 4e-6);
    }

    pub fn check_on(&self, device: &Device, products: Products, share: f64) {
        let names = ["output", "inputs", "weights", "biases"];
        for ((fused, plain), name) in self.fused(device, products).iter().zip(&self.plain()).zip(names) {
            close(fused, plain, share, name);
        }
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
    let layer = |rows, columns, residual| LayerShape {
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
