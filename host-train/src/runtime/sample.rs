//! Sampling on the desktop with the core's sampler: same generator and same order of draws as a firmware.

use crate::progress::Progress;
use crate::runtime::model_file::ModelFile;
use crate::with_model;
use ancestral::decoder::Decoding;
use ancestral::model::StepTable;
use ancestral::steps::OwnedStepTable;
use ancestral::storage::Heap;
use ancestral::{Format, Model, Sampler};
use anyhow::Result;
use rand_core::SeedableRng;
use rand_xoshiro::Xoshiro128PlusPlus;
use rayon::prelude::*;

/// Rows drawn from a model.
pub enum Samples {
    /// Discretized data: D levels per row.
    Levels(Vec<Vec<u8>>),
    /// Continuous data: D values per row, in the file's units.
    Values(Vec<Vec<f32>>),
}

/// Seed of the samples, unless another is asked for.
pub const SAMPLE_SEED: u64 = 7;

/// A choice among the steps of a model, as a device makes it ([`ancestral::steps`]).
#[derive(Clone, Copy, Debug)]
pub struct ChainSteps {
    /// Number of the model's steps to use, or all of them.
    pub steps: Option<usize>,
    /// Share η of the posterior's noise, 0..=1.
    pub eta: f64,
}

/// Ways to draw rows other than a model's own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Drawing {
    /// The steps, or the model's own.
    pub chain: Option<ChainSteps>,
    /// Way in which the network decoder takes a sample.
    pub decoding: Decoding,
}

/// Largest number of entries of such a table.
const MAX_ENTRIES: usize = 1025;

/// Draws `count` rows, one after the other, from one generator seeded with `seed`. A firmware that calls
/// `Sampler::sample` in a loop draws the same.
pub fn sample(file: &ModelFile, count: usize, seed: u64, drawing: Drawing, progress: &Progress) -> Result<Samples> {
    progress.begin(&format!("sampling {}", file.name), count as u64);
    let decoding = drawing.decoding;
    with_model!(file.parse()?, model => match drawing.chain {
        None => draw(&model, model.step_table(), decoding, (count, seed), progress),
        Some(chain) => {
            let steps = chain.steps.unwrap_or_else(|| model.steps());
            let table = OwnedStepTable::<_, MAX_ENTRIES>::new(&model, steps, chain.eta)?;
            draw(&model, table.view(), decoding, (count, seed), progress)
        }
    })
}

/// Draws `count` rows on all cores. Row i comes from a generator of its own, seeded with `seed·2³² + i`, so the result
/// does not depend on the number of threads.
pub fn sample_many(file: &ModelFile, count: usize, seed: u64, progress: &Progress) -> Result<Samples> {
    progress.begin(&format!("sampling {}", file.name), count as u64);
    with_model!(file.parse()?, model => draw_many(&model, (count, seed), progress))
}

fn draw_many<F: Format>(model: &Model<'_, F>, (count, seed): (usize, u64), progress: &Progress) -> Result<Samples> {
    let sampler = || Sampler::with_storage(model, Heap::for_model(model));
    let rng = |index: usize| Xoshiro128PlusPlus::seed_from_u64(seed.rotate_left(32) ^ index as u64);
    let rows = (0..count).into_par_iter();
    if model.header().levels != 0 {
        let rows = rows.map_init(sampler, |sampler, index| {
            let sampler = sampler.as_mut().map_err(|error| *error)?;
            let row = sampler.sample(&mut rng(index)).to_vec();
            progress.advance(1);
            Ok(row)
        });
        return Ok(Samples::Levels(rows.collect::<Result<_>>()?));
    }
    let rows = rows.map_init(sampler, |sampler, index| {
        let sampler = sampler.as_mut().map_err(|error| *error)?;
        sampler.draw(&mut rng(index));
        let mut values = vec![0.0; model.dim()];
        sampler.values(&mut values);
        progress.advance(1);
        Ok(values)
    });
    Ok(Samples::Values(rows.collect::<Result<_>>()?))
}

fn draw<'m, F: Format>(
    model: &Model<'m, F>,
    table: StepTable<'m, F::Number>,
    decoding: Decoding,
    (count, seed): (usize, u64),
    progress: &Progress,
) -> Result<Samples> {
    let mut sampler = Sampler::with_table(model, Heap::for_model(model), table)?;
    sampler.set_decoding(decoding);
    let mut rng = Xoshiro128PlusPlus::seed_from_u64(seed);
    if model.header().levels != 0 {
        let rows = (0..count).map(|_| {
            progress.advance(1);
            sampler.sample(&mut rng).to_vec()
        });
        return Ok(Samples::Levels(rows.collect()));
    }
    let rows = (0..count).map(|_| {
        progress.advance(1);
        sampler.draw(&mut rng);
        let mut values = vec![0.0; model.dim()];
        sampler.values(&mut values);
        values
    });
    Ok(Samples::Values(rows.collect()))
}

impl Samples {
    /// Returns one line per row, `hex <index> <bytes>`: two hexadecimal digits per level, or the little-endian bytes of
    /// each `f32`. A firmware prints the same lines, and the two are compared.
    pub fn hex_lines(&self) -> Vec<String> {
        let line = |index: usize, bytes: Vec<u8>| {
            let digits: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
            format!("hex {index} {digits}")
        };
        match self {
            Samples::Levels(rows) => rows.iter().enumerate().map(|(i, row)| line(i, row.clone())).collect(),
            Samples::Values(rows) => rows
                .iter()
                .enumerate()
                .map(|(i, row)| line(i, row.iter().flat_map(|v| v.to_le_bytes()).collect()))
                .collect(),
        }
    }

    /// Returns the rows as numbers.
    pub fn rows(&self) -> Vec<Vec<f32>> {
        match self {
            Samples::Levels(rows) => rows.iter().map(|r| r.iter().map(|&v| f32::from(v)).collect()).collect(),
            Samples::Values(rows) => rows.clone(),
        }
    }
}
