//! The float model as the reference of an integer model.

use super::costs::Costs;
use super::states::States;
use ancestral::mlp::Mlp;
use ancestral::number::Number;
use ancestral::storage::{Buffers, Heap, Storage};
use ancestral::{Denoiser, F32, Format, Model, Q3_12};
use rayon::prelude::*;

/// States, and the float model's answer to each.
pub struct Teacher {
    /// The states.
    pub states: States,
    /// x̂ of the float model, and at t = 0 the argument of its decoder; `n × D`.
    answers: Vec<f32>,
    costs: Costs,
}

impl Teacher {
    /// Runs the float model on the states.
    pub fn new(model: &Model<'_, F32>, states: States) -> Self {
        let answers = answer_all(model, &states, |z| z.to_f32(), |x| x);
        Self {
            states,
            answers,
            costs: Costs::new(model),
        }
    }

    /// Measures the cost of the difference between a model's answers and the float model's, in nats per row, for each
    /// call of the network.
    ///
    /// At a step it is `weight_t·⟨‖x̂ − x̂_float‖²⟩`, or by the reverse variance of each direction if it has one.
    /// At the network decoder of levels it is the KL divergence of the float model's distribution from the model's.
    pub fn damage<F: Format<Number = Q3_12>>(&self, model: &Model<'_, F>) -> Vec<f64> {
        let answers = answer_all(model, &self.states, |z| z, |x: Q3_12| x.to_f32());
        let dim = self.states.dim.max(1);
        let pairs = self.answers.chunks_exact(dim).zip(answers.chunks_exact(dim));
        let per_call = self.states.len().max(1) as f64 / model.calls() as f64;
        let mut damage = vec![0.0; model.calls()];
        for ((wanted, found), call) in pairs.zip(self.states.calls()) {
            if let Some(slot) = damage.get_mut(call) {
                *slot += self.costs.nats(call, wanted, found) / per_call;
            }
        }
        damage
    }
}

/// Computes x̂ of each state, and at t = 0 the argument of the decoder.
fn answer_all<F: Format>(
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
                let mut mlp = Mlp::new(model, scratch);
                match t {
                    0 => mlp.decode(numbers, estimate),
                    _ => mlp.denoise(numbers, t, estimate),
                }
                for (to, &from) in answer.iter_mut().zip(estimate.iter()) {
                    *to = value(from);
                }
            },
        );
    answers
}
