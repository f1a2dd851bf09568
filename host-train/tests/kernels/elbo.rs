//! The state z_t, what the network's output costs, and the squared error, with their gradients.

use crate::emulator::{Emulator, Memory};
use crate::support::{close, normals};
use ancestral::levels;
use ancestral::schedule::Prediction;
use candle_core::{Device, Tensor, Var};
use host_train::fused::device::elbo::{self as device, Cost, LevelNats, RowError, RowSpans};
use host_train::fused::device::square::{mean_square as device_square, mean_square_gradient};
use host_train::fused::elbo::Rows;
use host_train::fused::square::mean_square;
use host_train::model::read_out::ReadOut;
use host_train::rng::TrainRng;
use proptest::prelude::*;

const PREDICTIONS: [Prediction; 5] = [
    Prediction::V,
    Prediction::X,
    Prediction::Odds { levels: 2 },
    Prediction::Odds { levels: 17 },
    Prediction::Odds { levels: 256 },
];

/// Fraction of the rows at t = 0.
const START: f64 = 0.25;
/// Gradients of reconstruction and diffusion.
const UPSTREAM: [f32; 2] = [0.7, -1.3];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn the_elbo_is_that_of_the_cpu(
        n in 1usize..40, dim in 1usize..70, steps in 1usize..20, kind in 0..PREDICTIONS.len(), clip: bool, seed: u64,
    ) {
        let prediction = PREDICTIONS[kind];
        let odds = matches!(prediction, Prediction::Odds { .. });
        let case = Case::new(n, dim, steps, ReadOut { prediction, clip: clip && !odds }, seed);
        let Some(emulator) = Emulator::get("the_elbo_is_that_of_the_cpu") else { return Ok(()) };
        for ((name, expected), found) in case.on_cpu().iter().zip(case.emulated(emulator)) {
            close(&found, expected, 8e-6, &format!("{prediction:?}, {name}"));
        }
    }
}

/// A batch, its steps in ascending order, and what the gradients are taken along.
struct Case {
    n: usize,
    dim: usize,
    read_out: ReadOut,
    table: Vec<f32>,
    t: Vec<u32>,
    /// Data, noise, the network's output, and the gradient of everything that has their shape.
    numbers: [Vec<f32>; 4],
}

impl Case {
    fn new(n: usize, dim: usize, steps: usize, read_out: ReadOut, seed: u64) -> Self {
        let mut rng = TrainRng::new(seed);
        let mut gamma = -8.0;
        let next = |_| {
            gamma += 0.1 + 2.0 * rng.uniform();
            gamma
        };
        let table = (0..=steps).map(next).collect();
        let mut t: Vec<u32> = (0..n).map(|_| rng.below(steps + 1) as u32).collect();
        t.sort_unstable();
        let mut numbers = [(); 4].map(|()| normals(n * dim, &mut rng));
        if let Prediction::Odds { levels } = read_out.prediction {
            numbers[0].fill_with(|| levels::value(levels, rng.below(usize::from(levels)) as u16));
        }
        Self {
            n,
            dim,
            read_out,
            table,
            t,
            numbers,
        }
    }

    fn column(&self) -> Vec<f32> {
        self.t.iter().map(|&t| self.table[t as usize]).collect()
    }

    fn levels(&self) -> bool {
        matches!(self.read_out.prediction, Prediction::Odds { .. })
    }

    /// Gradient of a number for each row.
    fn along_rows(&self) -> Vec<f32> {
        self.numbers[3].iter().copied().take(self.n).collect()
    }

    fn on_cpu(&self) -> Vec<(&'static str, Vec<f32>)> {
        let (n, cpu) = (self.n, &Device::Cpu);
        let [x, noise, output, along] = self
            .numbers
            .each_ref()
            .map(|v| Tensor::from_slice(v, (n, self.dim), cpu).unwrap());
        let rows = Rows::new(&x, &noise, self.t.clone().into()).unwrap();
        let table = Var::from_slice(&self.table, self.table.len(), cpu).unwrap();
        let column = Var::from_vec(self.column(), (n, 1), cpu).unwrap();
        let f = Var::from_tensor(&output).unwrap();
        let flat = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let gradients =
            |value: &Tensor, along: &Tensor| (value * along).unwrap().sum_all().unwrap().backward().unwrap();
        let z = rows.state(&table).unwrap();
        let by_state = gradients(&z, &along);
        let terms = rows.cost(&f, &table, self.read_out, START).unwrap();
        let by_terms = gradients(&terms, &Tensor::new(&UPSTREAM, cpu).unwrap());
        let error = rows.error(&f, &column, self.read_out).unwrap();
        let by_error = gradients(&error, &along);
        let mut found = vec![
            ("state", flat(&z)),
            ("gamma by the state", flat(by_state.get(&table).unwrap())),
            ("terms", flat(&terms)),
            ("output by the terms", flat(by_terms.get(&f).unwrap())),
            ("gamma by the terms", flat(by_terms.get(&table).unwrap())),
            ("error", flat(&error)),
            ("output by the error", flat(by_error.get(&f).unwrap())),
            ("gamma by the error", flat(by_error.get(&column).unwrap())),
        ];
        if self.levels() {
            let nats = rows.level_nats(&f, &column, self.read_out).unwrap();
            let by_nats = gradients(&nats, &Tensor::from_vec(self.along_rows(), (n, 1), cpu).unwrap());
            found.push(("nats", flat(&nats)));
            found.push(("output by the nats", flat(by_nats.get(&f).unwrap())));
            found.push(("gamma by the nats", flat(by_nats.get(&column).unwrap())));
        }
        found
    }

    fn emulated(&self, emulator: &Emulator) -> Vec<Vec<f32>> {
        let (n, size, entries) = (self.n, self.n * self.dim, self.table.len());
        let [x, noise, output, along] = self.numbers.each_ref().map(|v| Memory::from_values(v));
        let (t, table, column) = (
            Memory::from_values(&self.t),
            Memory::from_values(&self.table),
            Memory::from_values(&self.column()),
        );
        let (upstream, along_rows) = (Memory::from_values(&UPSTREAM), Memory::from_values(&self.along_rows()));
        let rows = RowSpans {
            x: x.span(size),
            noise: noise.span(size),
            t: t.span(n),
            gamma: table.span(entries),
        };
        let by_row = RowSpans {
            gamma: column.span(n),
            ..rows
        };
        let (output, along) = (output.span(size), along.span(size));
        let sizes = [size, entries, 2, size, entries, size, size, n, n, size, n];
        let out = sizes.map(|len| Memory::uninitialized(4 * len));
        let to = |i: usize| out[i].span(sizes[i]);
        let read_out = self.read_out;
        device::state(emulator, rows, to(0)).unwrap();
        device::state_gradient(emulator, rows, along, to(1)).unwrap();
        let cost = Cost {
            rows,
            output,
            read_out,
            start_fraction: START,
        };
        cost.forward(emulator, to(2)).unwrap();
        cost.backward(emulator, upstream.span(2), to(3), to(4)).unwrap();
        let error = RowError {
            rows: by_row,
            output,
            read_out,
        };
        error.forward(emulator, to(5)).unwrap();
        error.backward(emulator, along, to(6), to(7)).unwrap();
        let nats = LevelNats {
            rows: by_row,
            output,
            read_out,
        };
        nats.forward(emulator, to(8)).unwrap();
        nats.backward(emulator, along_rows.span(n), to(9), to(10)).unwrap();
        out.iter().zip(sizes).map(|(out, len)| out.read(len)).collect()
    }
}

#[test]
fn sizes_that_do_not_fit_are_errors() {
    let Some(emulator) = Emulator::get("sizes_that_do_not_fit_are_errors") else {
        return;
    };
    let memory = Memory::uninitialized(4096);
    let rows = RowSpans {
        x: memory.span(12),
        noise: memory.span(12),
        t: memory.span(4),
        gamma: memory.span(5),
    };
    let read_out = ReadOut {
        prediction: Prediction::V,
        clip: false,
    };
    let error = RowError {
        rows,
        output: memory.span(12),
        read_out,
    };
    let refused = error.forward(emulator, memory.span(12)).unwrap_err();
    assert!(refused.to_string().contains("list of gamma"), "{refused}");
    let cost = Cost {
        rows,
        output: memory.span(11),
        read_out,
        start_fraction: START,
    };
    let refused = cost.forward(emulator, memory.span(2)).unwrap_err();
    assert!(refused.to_string().contains("output"), "{refused}");
}

#[test]
fn the_squared_error_is_that_of_the_cpu() {
    let Some(emulator) = Emulator::get("the_squared_error_is_that_of_the_cpu") else {
        return;
    };
    let mut rng = TrainRng::new(4);
    let n = 5000;
    let (output, target) = (normals(n, &mut rng), normals(n, &mut rng));
    let var = Var::from_slice(&output, n, &Device::Cpu).unwrap();
    let loss = mean_square(&var, &Tensor::from_slice(&target, n, &Device::Cpu).unwrap()).unwrap();
    let by = (&loss * 3.0).unwrap().backward().unwrap();
    let expected: Vec<f32> = by.get(&var).unwrap().to_vec1().unwrap();

    let (output, target, upstream) = (
        Memory::from_values(&output),
        Memory::from_values(&target),
        Memory::from_values(&[3.0f32]),
    );
    let (mean, gradient) = (Memory::uninitialized(4), Memory::uninitialized(4 * n));
    device_square(emulator, output.span(n), target.span(n), mean.span(1)).unwrap();
    let out = gradient.span(n);
    mean_square_gradient(emulator, output.span(n), target.span(n), upstream.span(1), out).unwrap();
    close(&mean.read(1), &[loss.to_scalar().unwrap()], 1e-6, "loss");
    close(&gradient.read(n), &expected, 1e-6, "gradient");
}
