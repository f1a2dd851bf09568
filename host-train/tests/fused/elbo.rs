//! The state z_t, what the network's output costs, and the gradients of γ and of the output.

use crate::support::{close, fine, var, wide};
use ancestral::levels;
use ancestral::schedule::Prediction;
use candle_core::{DType, Device, Tensor, Var};
use host_train::fused::elbo::Rows;
use host_train::model::read_out::ReadOut;
use host_train::rng::TrainRng;
use proptest::prelude::*;

/// All kinds of read-out.
pub const READ_OUTS: [ReadOut; 7] = [
    read_out(Prediction::V, false),
    read_out(Prediction::V, true),
    read_out(Prediction::X, false),
    read_out(Prediction::X, true),
    read_out(Prediction::Odds { levels: 2 }, false),
    read_out(Prediction::Odds { levels: 17 }, false),
    read_out(Prediction::Odds { levels: 256 }, false),
];

const fn read_out(prediction: Prediction, clip: bool) -> ReadOut {
    ReadOut { prediction, clip }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn the_elbo_is_candles(
        rows in 1usize..40, dim in 1usize..40, steps in 1usize..20, kind in 0..READ_OUTS.len(), seed: u64,
    ) {
        Case::new(rows, dim, steps, READ_OUTS[kind], seed).check_on(&Device::Cpu);
    }
}

/// A batch, its steps, and what the gradients are taken along.
pub struct Case {
    rows: usize,
    dim: usize,
    table: Vec<f32>,
    t: Vec<u32>,
    read_out: ReadOut,
    x: Vec<f32>,
    noise: Vec<f32>,
    output: Vec<f32>,
    /// Gradient of everything that has the data's shape.
    cotangent: Vec<f32>,
}

/// Values, and gradients along the cotangents.
type Named = (&'static str, Vec<f64>);

/// Fraction of the rows at t = 0.
const START: f64 = 0.25;
/// Gradients of reconstruction and diffusion.
const UPSTREAM: [f32; 2] = [0.7, -1.3];

impl Case {
    pub fn new(rows: usize, dim: usize, steps: usize, read_out: ReadOut, seed: u64) -> Self {
        let mut rng = TrainRng::new(seed);
        let mut gamma = -8.0;
        let next = |_| {
            gamma += 0.1 + 2.0 * rng.uniform();
            gamma
        };
        let table = (0..=steps).map(next).collect();
        let t = (0..rows).map(|_| rng.below(steps + 1) as u32).collect();
        let [mut x, noise, mut output, cotangent] = [(); 4].map(|()| fine(rows * dim, &mut rng));
        if let Prediction::Odds { levels } = read_out.prediction {
            x.fill_with(|| levels::value(levels, rng.below(usize::from(levels)) as u16));
            output.iter_mut().for_each(|f| *f *= 3.0);
        }
        Self {
            rows,
            dim,
            table,
            t,
            read_out,
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

    /// The table of γ, γ of each row, and the output.
    fn vars(&self, dtype: DType, device: &Device) -> [Var; 3] {
        let column: Vec<f32> = self.t.iter().map(|&t| self.table[t as usize]).collect();
        [
            var(&self.table, self.table.len(), dtype, device),
            var(&column, (self.rows, 1), dtype, device),
            var(&self.output, (self.rows, self.dim), dtype, device),
        ]
    }

    fn levels(&self) -> bool {
        matches!(self.read_out.prediction, Prediction::Odds { .. })
    }

    /// A tensor, and the gradients of its product with `along`.
    fn gradients(names: [&'static str; 3], value: &Tensor, along: &Tensor, by: [&Var; 2]) -> Vec<Named> {
        let gradients = (value * along).unwrap().sum_all().unwrap().backward().unwrap();
        let mut found = vec![(names[0], wide(value))];
        for (name, var) in names[1..].iter().zip(by) {
            // Of x̂ = f, nothing depends on γ.
            let none = || vec![0.0; var.elem_count()];
            found.push((name, gradients.get(var).map_or_else(none, wide)));
        }
        found
    }

    /// Everything that is compared.
    fn results(&self, [table, column, f]: &[Var; 3], values: [&Tensor; 4]) -> Vec<Named> {
        let [z, terms, error, nats] = values;
        let (dtype, device) = (z.dtype(), z.device());
        let along = self.tensor(&self.cotangent, dtype, device);
        let upstream = Tensor::new(&UPSTREAM, device).unwrap().to_dtype(dtype).unwrap();
        let rows = along.narrow(1, 0, 1).unwrap();
        let mut found = Self::gradients(["state", "gamma by the state", ""], z, &along, [table, f]);
        found.truncate(2);
        let names = ["terms", "gamma by the terms", "output by the terms"];
        found.extend(Self::gradients(names, terms, &upstream, [table, f]));
        let names = ["error", "gamma by the error", "output by the error"];
        found.extend(Self::gradients(names, error, &along, [column, f]));
        if self.levels() {
            let names = ["nats", "gamma by the nats", "output by the nats"];
            found.extend(Self::gradients(names, nats, &rows, [column, f]));
        }
        found
    }

    fn fused(&self, device: &Device) -> Vec<Named> {
        let vars = self.vars(DType::F32, device);
        let [table, column, f] = &vars;
        let [x, noise] = [&self.x, &self.noise].map(|v| self.tensor(v, DType::F32, device));
        let rows = Rows::new(&x, &noise, self.t.clone().into()).unwrap();
        let terms = rows.cost(f, table, self.read_out, START).unwrap();
        let error = rows.error(f, column, self.read_out).unwrap();
        let nats = match self.levels() {
            true => rows.level_nats(f, column, self.read_out).unwrap(),
            false => error.clone(),
        };
        self.results(&vars, [&rows.state(table).unwrap(), &terms, &error, &nats])
    }

    /// The definition, by candle's operations on the CPU in f64.
    fn plain(&self) -> Vec<Named> {
        let vars = self.vars(DType::F64, &Device::Cpu);
        let values = self.plain_values(&vars);
        self.results(&vars, values.each_ref())
    }

    fn plain_values(&self, [table, column, f]: &[Var; 3]) -> [Tensor; 4] {
        let [x, noise] = [&self.x, &self.noise].map(|v| self.tensor(v, DType::F64, &Device::Cpu));
        let index =
            |step: &dyn Fn(&u32) -> u32| Tensor::from_vec(self.t.iter().map(step).collect(), self.rows, &Device::Cpu);
        let pick = |index: Tensor| table.index_select(&index, 0).unwrap().unsqueeze(1).unwrap();
        let gamma = pick(index(&|t| *t).unwrap());
        let before = pick(index(&|t| t.saturating_sub(1)).unwrap());
        let start: Vec<f64> = self.t.iter().map(|&t| f64::from(u8::from(t == 0))).collect();
        let start = Tensor::from_vec(start, (self.rows, 1), &Device::Cpu).unwrap();
        let rest = start.affine(-1.0, 1.0).unwrap();
        let state = |gamma: &Tensor| {
            let sigma = candle_nn::ops::sigmoid(gamma).unwrap().sqrt().unwrap();
            let alpha = candle_nn::ops::sigmoid(&gamma.neg().unwrap()).unwrap().sqrt().unwrap();
            (x.broadcast_mul(&alpha).unwrap() + noise.broadcast_mul(&sigma).unwrap()).unwrap()
        };
        let error = |gamma: &Tensor| (self.read_out.estimate(&state(gamma), f, gamma).unwrap() - &x).unwrap();
        let square = error(&gamma).sqr().unwrap().sum_keepdim(1).unwrap();
        let snr = |gamma: &Tensor| gamma.neg().unwrap().exp().unwrap();
        let scaled = error(column).broadcast_mul(&snr(column).sqrt().unwrap()).unwrap();
        let step = ((snr(&before) - snr(&gamma)).unwrap() * &square).unwrap() * 0.5;
        let nats = |gamma: &Tensor| match self.levels() {
            true => self.read_out.level_nats(&x, &state(gamma), f, gamma).unwrap(),
            false => {
                let normalization = gamma.affine(1.0, (2.0 * std::f64::consts::PI).ln()).unwrap();
                let normalization = (normalization * self.dim as f64).unwrap();
                ((normalization + (snr(gamma) * &square).unwrap()).unwrap() * 0.5).unwrap()
            }
        };
        let mean = |values: Tensor, mask: &Tensor| (values * mask).unwrap().mean_all().unwrap();
        let reconstruction = (mean(nats(&gamma), &start) / START).unwrap();
        let diffusion = (mean(step.unwrap(), &rest) * ((self.table.len() - 1) as f64 / (1.0 - START))).unwrap();
        let terms = Tensor::stack(&[reconstruction, diffusion], 0).unwrap();
        [state(&gamma), terms, scaled, (nats(column) * start).unwrap()]
    }

    /// Compares both. The kernels of a GPU need the steps in ascending order.
    pub fn check_on(mut self, device: &Device) {
        if device.is_cuda() {
            self.t.sort_unstable();
        }
        for ((name, fused), (same, plain)) in self.fused(device).iter().zip(&self.plain()) {
            assert_eq!(name, same);
            // A logarithm near 0 has the error of a number near 1.
            let nats = |values: &[f64]| values.iter().map(|v| 1.0 + v).collect::<Vec<f64>>();
            let (fused, plain) = match *name {
                "nats" => (&nats(fused), &nats(plain)),
                _ => (fused, plain),
            };
            close(fused, plain, 8e-6, &format!("{:?}, {name}", self.read_out));
        }
    }
}

/// The definition's own gradients are differences of its values.
#[test]
fn candles_gradients_are_differences() {
    for read_out in READ_OUTS {
        let case = Case::new(7, 3, 4, read_out, 9);
        let vars = case.vars(DType::F64, &Device::Cpu);
        let upstream = Tensor::new(&UPSTREAM, &Device::Cpu)
            .unwrap()
            .to_dtype(DType::F64)
            .unwrap();
        let total = || {
            let [_, terms, ..] = case.plain_values(&vars);
            (terms * &upstream).unwrap().sum_all().unwrap()
        };
        let gradients = total().backward().unwrap();
        for var in [&vars[0], &vars[2]] {
            let before = wide(var);
            let put = |values: &[f64]| {
                let tensor = Tensor::from_slice(values, var.shape(), &Device::Cpu).unwrap();
                var.set(&tensor).unwrap();
                total().to_scalar::<f64>().unwrap()
            };
            let h = 1e-5;
            let mut expected = Vec::new();
            for i in 0..before.len() {
                let mut moved = before.clone();
                moved[i] += h;
                let above = put(&moved);
                moved[i] -= 2.0 * h;
                expected.push((above - put(&moved)) / (2.0 * h));
            }
            put(&before);
            close(
                &wide(gradients.get(var).unwrap()),
                &expected,
                1e-6,
                &format!("{read_out:?}"),
            );
        }
    }
}

#[test]
fn rows_that_do_not_fit_are_refused() {
    let zeros = Tensor::zeros((3, 2), DType::F32, &Device::Cpu).unwrap();
    let table = Tensor::new(&[-3f32, 0.0, 3.0], &Device::Cpu).unwrap();
    let rows = |t: Vec<u32>| Rows::new(&zeros, &zeros, t.into());
    assert!(rows(vec![1, 2]).is_err());
    let v = READ_OUTS[0];
    let beyond = rows(vec![1, 2, 3]).unwrap().cost(&zeros, &table, v, 0.0).unwrap_err();
    assert!(beyond.to_string().contains("beyond the table"), "{beyond}");
    let at_start = rows(vec![0, 1, 2]).unwrap();
    let error = at_start.cost(&zeros, &table, v, 0.0).unwrap_err();
    assert!(error.to_string().contains("rows at t = 0"), "{error}");
    let error = at_start.error(&zeros, &table, v).unwrap_err();
    assert!(error.to_string().contains("one gamma"), "{error}");
    let column = table.unsqueeze(1).unwrap();
    let error = at_start.level_nats(&zeros, &column, v).unwrap_err();
    assert!(error.to_string().contains("only from odds"), "{error}");
}
