//! The state z_t, the cost of a step, and the gradients of γ and of the output.

use crate::support::{close, fine, var, wide};
use ancestral::schedule::Prediction;
use candle_core::{DType, Device, Tensor, Var};
use host_train::fused::elbo::Rows;
use host_train::rng::TrainRng;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_elbo_is_candles(rows in 1usize..40, dim in 1usize..40, steps in 1usize..20, x: bool, seed: u64) {
        let prediction = if x { Prediction::X } else { Prediction::V };
        Case::new(rows, dim, steps, prediction, seed).check_on(&Device::Cpu);
    }
}

/// A batch, its steps, and what the gradients are taken along.
pub struct Case {
    rows: usize,
    dim: usize,
    table: Vec<f32>,
    t: Vec<u32>,
    prediction: Prediction,
    x: Vec<f32>,
    noise: Vec<f32>,
    output: Vec<f32>,
    cotangent: Vec<f32>,
}

impl Case {
    pub fn new(rows: usize, dim: usize, steps: usize, prediction: Prediction, seed: u64) -> Self {
        let mut rng = TrainRng::new(seed);
        let mut gamma = -6.0;
        let next = |_| {
            gamma += 0.1 + 2.0 * rng.uniform();
            gamma
        };
        let table = (0..=steps).map(next).collect();
        let t = (0..rows).map(|_| 1 + rng.below(steps) as u32).collect();
        let [x, noise, output, cotangent] = [(); 4].map(|()| fine(rows * dim, &mut rng));
        Self {
            rows,
            dim,
            table,
            t,
            prediction,
            x,
            noise,
            output,
            cotangent,
        }
    }

    fn tensor(&self, values: &[f32], dtype: DType, device: &Device) -> Tensor {
        let tensor = Tensor::from_slice(values, (self.rows, self.dim), device).unwrap();
        tensor.to_dtype(dtype).unwrap()
    }

    /// The table of γ and the output.
    fn vars(&self, dtype: DType, device: &Device) -> (Var, Var) {
        let table = var(&self.table, self.table.len(), dtype, device);
        (table, var(&self.output, (self.rows, self.dim), dtype, device))
    }

    /// z_t and the cost, then the gradients of γ by each and of the output by the cost.
    fn results(&self, z: &Tensor, cost: &Tensor, table: &Var, f: &Var) -> [Vec<f64>; 5] {
        let cotangent = self.tensor(&self.cotangent, z.dtype(), z.device());
        let along = (z * cotangent).unwrap().sum_all().unwrap().backward().unwrap();
        let gradients = cost.backward().unwrap();
        [
            wide(z),
            wide(cost),
            wide(along.get(table).unwrap()),
            wide(gradients.get(table).unwrap()),
            wide(gradients.get(f).unwrap()),
        ]
    }

    fn fused(&self, device: &Device) -> [Vec<f64>; 5] {
        let (table, f) = self.vars(DType::F32, device);
        let [x, noise] = [&self.x, &self.noise].map(|v| self.tensor(v, DType::F32, device));
        let rows = Rows::new(&x, &noise, self.t.clone().into()).unwrap();
        let cost = rows.cost(&f, &table, self.prediction).unwrap();
        self.results(&rows.state(&table).unwrap(), &cost, &table, &f)
    }

    /// The definition, by candle's operations on the CPU in f64.
    fn plain(&self) -> [Vec<f64>; 5] {
        let (table, f) = self.vars(DType::F64, &Device::Cpu);
        let [x, noise] = [&self.x, &self.noise].map(|v| self.tensor(v, DType::F64, &Device::Cpu));
        let pick = |index: Vec<u32>| {
            let index = Tensor::from_vec(index, self.rows, &Device::Cpu).unwrap();
            table.index_select(&index, 0).unwrap().unsqueeze(1).unwrap()
        };
        let before = self.t.iter().map(|t| t - 1).collect();
        let (gamma_t, gamma_s) = (pick(self.t.clone()), pick(before));
        let variance = candle_nn::ops::sigmoid(&gamma_t).unwrap();
        let signal = candle_nn::ops::sigmoid(&gamma_t.neg().unwrap()).unwrap();
        let (alpha, sigma) = (signal.sqrt().unwrap(), variance.sqrt().unwrap());
        let times = |a: &Tensor, b: &Tensor| a.broadcast_mul(b).unwrap();
        let z = (times(&x, &alpha) + times(&noise, &sigma)).unwrap();
        let growth = ((gamma_t - gamma_s).unwrap().exp().unwrap() - 1.0).unwrap();
        let (target, weight) = match self.prediction {
            Prediction::V => (
                (times(&noise, &alpha) - times(&x, &sigma)).unwrap(),
                (growth * signal).unwrap(),
            ),
            Prediction::Odds { .. } => panic!("not compared yet"),
            Prediction::X => (x, (growth * (signal / variance).unwrap()).unwrap()),
        };
        let square = (f.as_tensor() - target).unwrap().sqr().unwrap().sum_keepdim(1).unwrap();
        let factor = 0.5 * (self.table.len() - 1) as f64;
        let cost = (weight * square).unwrap().mean_all().unwrap();
        self.results(&z, &cost.affine(factor, 0.0).unwrap(), &table, &f)
    }

    /// Compares both. The kernels of a GPU need the steps in ascending order.
    pub fn check_on(mut self, device: &Device) {
        if device.is_cuda() {
            self.t.sort_unstable();
        }
        let names = ["state", "cost", "gamma by the state", "gamma by the cost", "output"];
        for ((fused, plain), name) in self.fused(device).iter().zip(&self.plain()).zip(names) {
            close(fused, plain, 4e-6, name);
        }
    }
}
