//! The states that a denoiser meets: noised rows of data, and the chains of the model itself, at every step.

use crate::data::Dataset;
use ancestral::likelihood::diffuse;
use ancestral::mlp::Mlp;
use ancestral::number::Number;
use ancestral::sampler::{reverse_step, start};
use ancestral::storage::{Buffers, Heap, Storage};
use ancestral::{Denoiser, F32, Format, Model, Q3_12};
use rand_core::SeedableRng;
use rand_xoshiro::Xoshiro128PlusPlus;
use rayon::prelude::*;

/// How many states are collected.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    /// Training rows; each is noised to every t.
    pub rows: usize,
    /// Sampled chains, all their steps.
    pub chains: usize,
    /// Seed of the noise.
    pub seed: u64,
}

/// States z_t, as the integer formats hold them (Q3.12). Every t occurs equally often.
#[derive(Clone, Debug, Default)]
pub struct States {
    /// D.
    pub dim: usize,
    /// `n × D`.
    pub z: Vec<Q3_12>,
    /// `n`, each in `1..=T`.
    pub t: Vec<usize>,
}

impl States {
    /// How many.
    pub fn len(&self) -> usize {
        self.t.len()
    }

    /// None at all.
    pub fn is_empty(&self) -> bool {
        self.t.is_empty()
    }

    /// State and step of each.
    pub fn iter(&self) -> impl Iterator<Item = (&[Q3_12], usize)> {
        self.z.chunks_exact(self.dim.max(1)).zip(self.t.iter().copied())
    }

    fn push(&mut self, z: &[f32], t: usize) {
        self.z.extend(z.iter().map(|&v| Q3_12::from_f32(v)));
        self.t.push(t);
    }
}

/// Noises training rows to every t and samples chains with the float model.
pub fn collect(model: &Model<'_, F32>, train: &Dataset, amount: &Amount) -> States {
    let rows = amount.rows.min(train.len());
    let parts: Vec<States> = (0..rows + amount.chains)
        .into_par_iter()
        .map(|index| {
            let mut rng = Xoshiro128PlusPlus::seed_from_u64(amount.seed.rotate_left(32) ^ index as u64);
            let mut part = States {
                dim: model.dim(),
                ..States::default()
            };
            let mut heap = Heap::for_model(model);
            let Buffers {
                state,
                estimate,
                data: noise,
                scratch,
                ..
            } = heap.buffers(model.dim());
            let table = model.step_table();
            if index < rows {
                // Rows are spread over the whole set, which may be sorted; another seed begins elsewhere.
                let offset = amount.seed as usize % train.len();
                let x = train.row((offset + index * train.len() / rows) % train.len());
                for t in 1..=table.steps() {
                    diffuse(&table, t, x, state, &mut rng);
                    part.push(state, t);
                }
            } else {
                let mut mlp = Mlp::new(model, scratch);
                start(state, &mut rng);
                for t in (1..=table.steps()).rev() {
                    part.push(state, t);
                    reverse_step(&table, &mut mlp, t, state, estimate, noise, &mut rng);
                }
            }
            part
        })
        .collect();
    let mut all = States {
        dim: model.dim(),
        ..States::default()
    };
    for part in parts {
        all.z.extend(part.z);
        all.t.extend(part.t);
    }
    all
}

/// States with the float model's answers.
pub struct Teacher {
    /// The states.
    pub states: States,
    /// `n × D`: x̂ of the float model.
    answers: Vec<f32>,
    costs: Costs,
}

/// What an error of x̂ costs at each step.
pub struct Costs {
    /// `T × D`: nats of one unit of a squared component, half the square of pull by spread.
    pub weights: Vec<f64>,
    /// Row-major, `D × D`, or empty: the components are along its columns.
    pub basis: Vec<f64>,
    dim: usize,
}

impl Costs {
    /// Of a float model.
    pub fn new(model: &Model<'_, F32>) -> Self {
        let (table, dim) = (model.step_table(), model.dim());
        let weight = |t: usize, d: usize| match &table.reverse_variance {
            None => f64::from(table.weight.get(t).copied().unwrap_or(0.0)),
            Some(variance) => {
                let spread = variance.spreads_at(t, dim).get(d).copied().unwrap_or(f32::INFINITY);
                let pull = table.constants_at(t).map_or(0.0, |c| c.pull);
                0.5 * f64::from(pull / spread).powi(2)
            }
        };
        Self {
            weights: (1..=table.steps())
                .flat_map(|t| (0..dim).map(move |d| (t, d)))
                .map(|(t, d)| weight(t, d))
                .collect(),
            basis: table
                .reverse_variance
                .map_or(Vec::new(), |s| s.basis.iter().map(|&u| f64::from(u)).collect()),
            dim,
        }
    }

    /// Of an error at step t.
    fn nats(&self, t: usize, error: &[f64]) -> f64 {
        let weights = self.weights.iter().skip((t - 1) * self.dim).take(self.dim);
        let along = |d: usize| -> f64 {
            if self.basis.is_empty() {
                return error.get(d).copied().unwrap_or(0.0);
            }
            let column = self.basis.iter().skip(d).step_by(self.dim);
            column.zip(error).map(|(u, e)| u * e).sum()
        };
        weights.enumerate().map(|(d, w)| w * along(d).powi(2)).sum()
    }
}

impl Teacher {
    /// Runs the float model on the states.
    pub fn new(model: &Model<'_, F32>, states: States) -> Self {
        let answers = run(model, &states, |z| z.to_f32(), |x| x);
        Self {
            states,
            answers,
            costs: Costs::new(model),
        }
    }

    /// What the difference between a model's x̂ and the float model's costs in nats per row, for each t in `1..=T`:
    /// `weight_t·⟨‖x̂ − x̂_float‖²⟩`, or by the reverse variance of each direction where the model has one.
    pub fn damage<F: Format<Number = Q3_12>>(&self, model: &Model<'_, F>) -> Vec<f64> {
        let table = model.step_table();
        let answers = run(model, &self.states, |z| z, |x: Q3_12| x.to_f32());
        let dim = self.states.dim.max(1);
        let pairs = answers.chunks_exact(dim).zip(self.answers.chunks_exact(dim));
        let per_step = self.states.len().max(1) as f64 / table.steps() as f64;
        let mut damage = vec![0.0; table.steps()];
        for ((a, b), &t) in pairs.zip(&self.states.t) {
            let difference: Vec<f64> = a.iter().zip(b).map(|(a, b)| f64::from(a - b)).collect();
            if let Some(slot) = damage.get_mut(t - 1) {
                *slot += self.costs.nats(t, &difference) / per_step;
            }
        }
        damage
    }
}

/// x̂ of each state.
fn run<F: Format>(
    model: &Model<'_, F>,
    states: &States,
    number: impl Fn(Q3_12) -> F::Number + Sync,
    value: impl Fn(F::Number) -> f32 + Sync,
) -> Vec<f32>
where
    F::Number: Send + Sync,
{
    let dim = states.dim.max(1);
    let mut answers = vec![0.0; states.z.len()];
    answers
        .par_chunks_exact_mut(dim)
        .zip(states.z.par_chunks_exact(dim))
        .zip(&states.t)
        .for_each_init(
            || (Heap::for_model(model), vec![F::Number::default(); dim]),
            |(heap, numbers), ((answer, z), &t)| {
                for (to, &from) in numbers.iter_mut().zip(z) {
                    *to = number(from);
                }
                let Buffers { estimate, scratch, .. } = heap.buffers(dim);
                Mlp::new(model, scratch).denoise(numbers, t, estimate);
                for (to, &from) in answer.iter_mut().zip(estimate.iter()) {
                    *to = value(from);
                }
            },
        );
    answers
}
