//! What goes through the layers of the float model while it samples and while it scores.

use crate::data::Dataset;
use crate::runtime::{AnyModel, ModelFile};
use ancestral::likelihood::diffuse;
use ancestral::mlp::{estimate_data, forward_observed};
use ancestral::sampler::{reverse_step, start};
use ancestral::storage::{Buffers, Heap, Scratch, Storage};
use ancestral::{Denoiser, F32, Model};
use anyhow::{Result, bail};
use rand_core::SeedableRng;
use rand_xoshiro::Xoshiro128PlusPlus;

/// Per layer: the statistics of its inputs over whole chains.
pub struct Ranges {
    /// The largest magnitude seen.
    pub largest: Vec<f32>,
    /// `Σ x xᵀ / n`, row-major, `columns × columns`: what an error in a weight costs.
    pub moments: Vec<Vec<f64>>,
}

/// Training rows whose noisy states are sent through, and chains sampled.
const ROWS: usize = 96;
const CHAINS: usize = 32;
const SEED: u64 = 0xCA11;

/// Runs the float model over noised training rows (every t) and over sampled chains.
pub fn measure(file: &ModelFile, train: &Dataset) -> Result<Ranges> {
    let AnyModel::F32(model) = file.parse()? else {
        bail!("calibration runs the float model")
    };
    let mut heap = Heap::for_model(&model);
    let mut rng = Xoshiro128PlusPlus::seed_from_u64(SEED);
    let table = model.step_table();
    let Buffers {
        state,
        estimate,
        scratch,
        ..
    } = heap.buffers(model.dim());
    let mut observed = Observed {
        model,
        scratch,
        observer: Observer::new(&model),
    };
    let rows = ROWS.min(train.len());
    for row in 0..rows {
        // Rows are spread over the whole set, which may be sorted.
        let x = train.row(row * train.len() / rows);
        for t in 1..=table.steps() {
            diffuse(&table, t, x, state, &mut rng);
            observed.denoise(state, t, estimate);
        }
    }
    for _ in 0..CHAINS {
        start(state, &mut rng);
        for t in (1..=table.steps()).rev() {
            reverse_step(&table, &mut observed, t, state, estimate, &mut rng);
        }
    }
    Ok(observed.observer.finish())
}

/// The float model, each of its layers' inputs seen by an observer.
struct Observed<'m, 's> {
    model: Model<'m, F32>,
    scratch: Scratch<'s, f32>,
    observer: Observer,
}

impl Denoiser for Observed<'_, '_> {
    type Number = f32;

    fn denoise(&mut self, z: &[f32], t: usize, estimate: &mut [f32]) {
        let observer = &mut self.observer;
        forward_observed(&self.model, t, z, &mut self.scratch, estimate, |l, input| {
            observer.see(l, input)
        });
        estimate_data(&self.model.step_table(), t, z, estimate);
    }
}

struct Observer {
    ranges: Ranges,
    seen: Vec<u64>,
}

impl Observer {
    fn new(model: &Model<'_, F32>) -> Self {
        let columns: Vec<usize> = model.layers().map(|l| l.columns).collect();
        Self {
            seen: vec![0; columns.len()],
            ranges: Ranges {
                largest: vec![0.0; columns.len()],
                moments: columns.iter().map(|c| vec![0.0; c * c]).collect(),
            },
        }
    }

    fn see(&mut self, layer: usize, input: &[f32]) {
        let (Some(largest), Some(moments), Some(seen)) = (
            self.ranges.largest.get_mut(layer),
            self.ranges.moments.get_mut(layer),
            self.seen.get_mut(layer),
        ) else {
            return;
        };
        *largest = input.iter().fold(*largest, |m, x| m.max(x.abs()));
        // The full matrix costs n² a vector: a sixteenth of them is plenty to fill it.
        if seen.is_multiple_of(16) {
            for (row, &a) in moments.chunks_exact_mut(input.len().max(1)).zip(input) {
                if a != 0.0 {
                    for (m, &b) in row.iter_mut().zip(input) {
                        *m += f64::from(a) * f64::from(b);
                    }
                }
            }
        }
        *seen += 1;
    }

    fn finish(mut self) -> Ranges {
        for (moments, seen) in self.ranges.moments.iter_mut().zip(&self.seen) {
            let count = seen.div_ceil(16).max(1) as f64;
            for m in moments.iter_mut() {
                *m /= count;
            }
        }
        self.ranges
    }
}
