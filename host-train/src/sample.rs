//! Sampling on the desktop: the core's sampler, with the same generator and the same order of draws as a firmware.

use crate::runtime::ModelFile;
use crate::with_model;
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
    /// Discretised data: D levels a row.
    Levels(Vec<Vec<u8>>),
    /// Continuous data: D values a row, in the file's units.
    Values(Vec<Vec<f32>>),
}

/// Other steps of the same model, made as a device makes them ([`ancestral::steps`]).
#[derive(Clone, Copy, Debug)]
pub struct Chain {
    /// How many of the model's steps, or all of them.
    pub steps: Option<usize>,
    /// Share η of the posterior's noise, 0..=1.
    pub eta: f64,
}

/// Entries of such a table, at most.
const MOST_ENTRIES: usize = 1025;

/// Draws `count` rows, one after the other from one generator seeded with `seed`: what a firmware that calls
/// `Sampler::sample` in a loop draws.
///
/// * `chain`: the steps, or `None` for the model's own.
pub fn sample(file: &ModelFile, count: usize, seed: u64, chain: Option<Chain>) -> Result<Samples> {
    with_model!(file.parse()?, model => match chain {
        None => draw(&model, model.step_table(), count, seed),
        Some(chain) => {
            let steps = chain.steps.unwrap_or_else(|| model.steps());
            let table = OwnedStepTable::<_, MOST_ENTRIES>::new(&model, steps, chain.eta)?;
            draw(&model, table.view(), count, seed)
        }
    })
}

/// Draws `count` rows on all cores: row i from a generator of its own, seeded with `seed·2³² + i`, so that the result does not depend
/// on the number of threads.
pub fn sample_many(file: &ModelFile, count: usize, seed: u64) -> Result<Samples> {
    with_model!(file.parse()?, model => draw_many(&model, count, seed))
}

fn draw_many<F: Format>(model: &Model<'_, F>, count: usize, seed: u64) -> Result<Samples> {
    let sampler = || Sampler::with_storage(model, Heap::for_model(model));
    let rng = |index: usize| Xoshiro128PlusPlus::seed_from_u64(seed.rotate_left(32) ^ index as u64);
    let rows = (0..count).into_par_iter();
    if model.header().levels != 0 {
        let rows = rows.map_init(sampler, |sampler, index| {
            let sampler = sampler.as_mut().map_err(|error| *error)?;
            Ok(sampler.sample(&mut rng(index)).to_vec())
        });
        return Ok(Samples::Levels(rows.collect::<Result<_>>()?));
    }
    let rows = rows.map_init(sampler, |sampler, index| {
        let sampler = sampler.as_mut().map_err(|error| *error)?;
        sampler.draw(&mut rng(index));
        let mut values = vec![0.0; model.dim()];
        sampler.values(&mut values);
        Ok(values)
    });
    Ok(Samples::Values(rows.collect::<Result<_>>()?))
}

fn draw<'m, F: Format>(
    model: &Model<'m, F>,
    table: StepTable<'m, F::Number>,
    count: usize,
    seed: u64,
) -> Result<Samples> {
    let mut sampler = Sampler::with_table(model, Heap::for_model(model), table)?;
    let mut rng = Xoshiro128PlusPlus::seed_from_u64(seed);
    if model.header().levels != 0 {
        return Ok(Samples::Levels(
            (0..count).map(|_| sampler.sample(&mut rng).to_vec()).collect(),
        ));
    }
    let rows = (0..count).map(|_| {
        sampler.draw(&mut rng);
        let mut values = vec![0.0; model.dim()];
        sampler.values(&mut values);
        values
    });
    Ok(Samples::Values(rows.collect()))
}

impl Samples {
    /// One line per row: `hex <index> <bytes>`, two hexadecimal digits per level, or the little-endian bytes of each `f32`. A firmware
    /// prints the same lines, and the two are compared.
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

    /// As rows of numbers.
    pub fn rows(&self) -> Vec<Vec<f32>> {
        match self {
            Samples::Levels(rows) => rows.iter().map(|r| r.iter().map(|&v| f32::from(v)).collect()).collect(),
            Samples::Values(rows) => rows.clone(),
        }
    }
}
