//! Statistics of each layer's inputs in the float model.

use super::states::States;
use ancestral::format::Input;
use ancestral::mlp::forward_observed;
use ancestral::number::Number;
use ancestral::storage::{Buffers, Heap, Storage};
use ancestral::{F32, Model};
use anyhow::{Result, bail};

/// Statistics of each layer's inputs over whole chains.
pub struct Moments {
    /// Largest magnitude seen, by layer and call of the network (`layers × calls`).
    largest: Vec<Vec<f32>>,
    /// Second moments `⟨x xᵀ⟩` of each layer, row-major, `columns × columns`: the cost of errors in the weights.
    pub second: Vec<Vec<f64>>,
}

/// Number of states, about, in the second moments, which cost n² operations for each.
const SECOND_MOMENTS: usize = 1500;

/// Runs the float model over the states; an error names a layer that is dead.
pub fn measure(model: &Model<'_, F32>, states: &States) -> Result<Moments> {
    let columns: Vec<usize> = model.layers().map(|l| l.columns).collect();
    let mut moments = Moments {
        largest: vec![vec![0.0; model.calls()]; columns.len()],
        second: columns.iter().map(|c| vec![0.0; c * c]).collect(),
    };
    let every = states.len().div_ceil(SECOND_MOMENTS).max(1);
    // A stride with a factor in common with their number would meet some of the calls only.
    let every = (every..).find(|&e| is_coprime(e, model.calls())).unwrap_or(1);
    let counted = states.len().div_ceil(every).max(1) as f64;
    let mut heap = Heap::for_model(model);
    let mut z = vec![0.0; states.dim];
    // A residual layer adds its output less its input.
    let residual: Vec<bool> = model.layers().map(|l| l.residual).collect();
    let mut alive = vec![false; columns.len()];
    let mut before: Vec<f32> = Vec::new();
    for (index, (state, t)) in states.iter().enumerate() {
        for (to, from) in z.iter_mut().zip(state) {
            *to = from.to_f32();
        }
        let Buffers {
            estimate, mut scratch, ..
        } = heap.buffers(model.dim());
        forward_observed(model, t, &z, &mut scratch, estimate, |layer, input| {
            let (Input::State(input) | Input::Hidden(input)) = input;
            if let Some(slot) = moments.largest.get_mut(layer).and_then(|l| l.get_mut(t - states.first)) {
                *slot = input.iter().fold(*slot, |m, x| m.max(x.abs()));
            }
            if let Some(slot) = layer.checked_sub(1).and_then(|l| alive.get_mut(l)) {
                let adds = residual.get(layer - 1).copied().unwrap_or(false);
                let mut pairs = input.iter().zip(&before);
                *slot |= if adds {
                    pairs.any(|(out, inside)| out != inside)
                } else {
                    input.iter().any(|x| *x != 0.0)
                };
            }
            before.clear();
            before.extend_from_slice(input);
            if index % every == 0
                && let Some(second) = moments.second.get_mut(layer)
            {
                add_outer(second, input, 1.0 / counted);
            }
        });
    }
    let hidden = columns.len().saturating_sub(1);
    if let Some(dead) = alive.iter().take(hidden).position(|alive| !alive) {
        bail!(
            "layer {dead}: it adds nothing in any state that was tried, so it is dead; train again with another seed or a lower \
             rate"
        );
    }
    Ok(moments)
}

fn is_coprime(a: usize, b: usize) -> bool {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a == 1
}

fn add_outer(second: &mut [f64], input: &[f32], share: f64) {
    for (row, &a) in second.chunks_exact_mut(input.len().max(1)).zip(input) {
        let a = f64::from(a) * share;
        if a != 0.0 {
            for (m, &b) in row.iter_mut().zip(input) {
                *m += a * f64::from(b);
            }
        }
    }
}

impl Moments {
    /// Returns the largest activation of any hidden layer.
    ///
    /// All hidden layers share one unit, because residual layers add their input to their output.
    pub fn largest_hidden(&self) -> Result<f64> {
        let largest = self.largest.iter().skip(1).flatten().fold(0.0f32, |m, &l| m.max(l));
        if !largest.is_finite() {
            bail!("a hidden activation is not finite: the weights are too large, train again");
        }
        Ok(f64::from(largest))
    }

    /// Returns the ratio of the largest activations at the steps where they are largest and smallest.
    pub fn range_over_steps(&self) -> f64 {
        let steps = self.largest.first().map_or(0, Vec::len);
        let at = |t: usize| {
            let of_layers = self.largest.iter().skip(1).filter_map(|l| l.get(t));
            of_layers.fold(0.0f32, |m, &l| m.max(l))
        };
        let (low, high) = (0..steps)
            .map(at)
            .fold((f32::INFINITY, 0.0f32), |(low, high), l| (low.min(l), high.max(l)));
        f64::from(high) / f64::from(low)
    }
}
