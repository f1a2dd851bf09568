//! States that a network is run on: noised rows of data, and the model's own chains, at every step.

use crate::data::Dataset;
use ancestral::likelihood::diffuse;
use ancestral::mlp::Mlp;
use ancestral::number::Number;
use ancestral::sampler::{reverse_step, start};
use ancestral::storage::{Buffers, Heap, Storage};
use ancestral::{F32, Model, Q3_12};
use rand_core::SeedableRng;
use rand_xoshiro::Xoshiro128PlusPlus;
use rayon::prelude::*;

/// Number of states to collect.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    /// Number of training rows; each is noised to every t that the network is run at.
    pub rows: usize,
    /// Number of sampled chains, with all their steps.
    pub chains: usize,
    /// Seed of the noise.
    pub seed: u64,
}

/// States z_t, as the integer formats hold them (Q3.12). Every t that the network is run at occurs equally often.
#[derive(Clone, Debug, Default)]
pub struct States {
    /// Dimensions D.
    pub dim: usize,
    /// Smallest t: 0 if the decoder is the network, else 1.
    pub first: usize,
    /// The states, `n × D`.
    pub z: Vec<Q3_12>,
    /// Step of each state, `first..=T`; n of them.
    pub t: Vec<usize>,
}

impl States {
    /// Number of states.
    pub fn len(&self) -> usize {
        self.t.len()
    }

    /// Returns whether there are no states.
    pub fn is_empty(&self) -> bool {
        self.t.is_empty()
    }

    /// Iterates over the states with their steps.
    pub fn iter(&self) -> impl Iterator<Item = (&[Q3_12], usize)> {
        self.z.chunks_exact(self.dim.max(1)).zip(self.t.iter().copied())
    }

    /// Returns the calls of the network that the states belong to: `t − first` of each.
    pub fn calls(&self) -> impl Iterator<Item = usize> {
        self.t.iter().map(|t| t - self.first)
    }

    fn push(&mut self, z: &[f32], t: usize) {
        self.z.extend(z.iter().map(|&v| Q3_12::from_f32(v)));
        self.t.push(t);
    }
}

/// Noises training rows to every t that the network is run at, and samples chains with the float model.
pub fn collect(model: &Model<'_, F32>, train: &Dataset, amount: &Amount) -> States {
    let first = usize::from(!model.header().network_decoder);
    let empty = || States {
        dim: model.dim(),
        first,
        ..States::default()
    };
    let rows = amount.rows.min(train.len());
    let parts: Vec<States> = (0..rows + amount.chains)
        .into_par_iter()
        .map(|index| {
            let mut rng = Xoshiro128PlusPlus::seed_from_u64(amount.seed.rotate_left(32) ^ index as u64);
            let mut part = empty();
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
                // Rows are spread over the whole set, which may be sorted; another seed has another first row.
                let offset = amount.seed as usize % train.len();
                let x = train.row((offset + index * train.len() / rows) % train.len());
                for t in first..=table.steps() {
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
                if first == 0 {
                    part.push(state, 0);
                }
            }
            part
        })
        .collect();
    let mut all = empty();
    for part in parts {
        all.z.extend(part.z);
        all.t.extend(part.t);
    }
    all
}
