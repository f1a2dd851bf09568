//! The state z_t, the cost of a step and the squared error, with their gradients.

use crate::emulator::{Emulator, Memory};
use crate::support::{close, normals};
use ancestral::schedule::Prediction;
use candle_core::{Device, Tensor, Var};
use host_train::fused::device::elbo::{self as device, RowSpans};
use host_train::fused::elbo::Rows;
use host_train::fused::square::mean_square;
use host_train::rng::TrainRng;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn the_elbo_is_that_of_the_cpu(n in 1usize..40, dim in 1usize..70, steps in 1usize..20, x: bool, seed: u64) {
        elbo_case(n, dim, steps, if x { Prediction::X } else { Prediction::V }, seed);
    }
}

fn elbo_case(n: usize, dim: usize, steps: usize, prediction: Prediction, seed: u64) {
    let Some(emulator) = Emulator::get("the_elbo_is_that_of_the_cpu") else {
        return;
    };
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

    let memories: Vec<Memory> = numbers.iter().map(|v| Memory::from_values(v)).collect();
    let (times, gammas, upstream) = (
        Memory::from_values(&t),
        Memory::from_values(&table),
        Memory::from_values(&[0.7f32]),
    );
    let size = n * dim;
    let rows = RowSpans {
        x: memories[0].span(size),
        noise: memories[1].span(size),
        t: times.span(n),
        table: gammas.span(steps + 1),
    };
    let sizes = [size, steps + 1, 1, size, steps + 1];
    let out = sizes.map(|len| Memory::uninitialized(4 * len));
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
    device::mean_square(emulator, output.span(n), target.span(n), mean.span(1)).unwrap();
    let out = gradient.span(n);
    device::mean_square_gradient(emulator, output.span(n), target.span(n), upstream.span(1), out).unwrap();
    close(&mean.read(1), &[loss.to_scalar().unwrap()], 1e-6, "loss");
    close(&gradient.read(n), &expected, 1e-6, "gradient");
}
