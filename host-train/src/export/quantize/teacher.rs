//! The float model as the reference of an integer model.

use super::states::States;
use ancestral::mlp::Mlp;
use ancestral::number::Number;
use ancestral::storage::{Buffers, Heap, Storage};
use ancestral::{Denoiser, F32, Format, Model, Q3_12};
use rayon::prelude::*;

/// States, and the float model's x̂ of each.
pub struct Teacher {
    /// The states.
    pub states: States,
    /// x̂ of the float model, `n × D`.
    answers: Vec<f32>,
    costs: Costs,
}

/// Cost of an error of x̂ at each step.
pub struct Costs {
    /// Nats of one unit of a squared component, `T × D`: half the square of pull by spread.
    pub weights: Vec<f64>,
    /// Matrix whose columns are the directions of the components, row-major, `D × D`; empty for the state's own.
    pub basis: Vec<f64>,
    dim: usize,
}

impl Costs {
    /// Reads the costs off a float model.
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

    /// Cost of an error at step t.
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
        let answers = estimate_all(model, &states, |z| z.to_f32(), |x| x);
        Self {
            states,
            answers,
            costs: Costs::new(model),
        }
    }

    /// Measures the cost of the difference between a model's x̂ and the float model's, in nats per row, for each t in
    /// `1..=T`: `weight_t·⟨‖x̂ − x̂_float‖²⟩`, or by the reverse variance of each direction if the model has one.
    pub fn damage<F: Format<Number = Q3_12>>(&self, model: &Model<'_, F>) -> Vec<f64> {
        let table = model.step_table();
        let answers = estimate_all(model, &self.states, |z| z, |x: Q3_12| x.to_f32());
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

/// Computes x̂ of each state.
fn estimate_all<F: Format>(
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
