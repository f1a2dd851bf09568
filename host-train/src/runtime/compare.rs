//! Comparison of model files of one data set: likelihood, size, work, and quality of the samples.

use crate::data::{Dataset, Split};
use crate::progress::Progress;
use crate::runtime::data_distance::all_rows;
use crate::runtime::distance::{Points, energy_distance, noise_floor};
use crate::runtime::evaluate::{Evaluation, evaluate, evaluate_state};
use crate::runtime::model_file::{AnyModel, ModelFile};
use crate::runtime::sample::{Samples, sample_many};
use crate::runtime::sample_variance::VarianceRatio;
use crate::with_model;
use ancestral::storage::device_bytes;
use ancestral::{Format, FormatId, Model};
use anyhow::{Context, Result, ensure};
use serde::Serialize;

/// A row of the table, and an object of the JSON list.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// ELBO by term.
    #[serde(flatten)]
    pub score: Evaluation,
    /// `bits_per_dim` less that of the reference, on the same noise.
    pub delta: f64,
    /// Standard error of `delta` over the rows, each of which both have scored.
    pub delta_error: f64,
    /// The file that `delta` refers to.
    pub reference: String,
    /// RAM of a sampler's buffers.
    pub ram_bytes: usize,
    /// Multiply-accumulates of the network for one sample, the decoder's call included.
    pub macs_per_sample: u64,
    /// Energy distance D² between the samples and all rows of the data, in model units.
    pub energy_distance: Option<f64>,
    /// Variance of the samples, as a multiple of that of the training rows.
    pub variance: Option<VarianceRatio>,
    /// 95 % point of D² between random halves of the data.
    pub energy_floor: Option<f64>,
}

/// Extent of a comparison.
#[derive(Clone, Copy, Debug)]
pub struct CompareSettings {
    /// Noise draws per row and step of the ELBO.
    pub draws: u32,
    /// Samples per file for the distance; 0 leaves it out.
    pub samples: usize,
    /// Seed of both.
    pub seed: u64,
    /// Also score the float network behind a fixed-point state.
    pub state: bool,
}

/// Number of random halves of the data that the floor is taken from.
const SPLITS: usize = 200;

/// A file's row of the table, and its samples for a picture.
pub struct Compared {
    /// The numbers.
    pub row: Comparison,
    /// The samples, if any were drawn.
    pub samples: Option<Samples>,
}

/// Compares files on the held-out rows of `split`. The reference is the first file in `f32`, or else the first file.
///
/// # Errors
///
/// If two files were made from different data, or a file cannot be scored on `split`.
pub fn compare(
    files: &[ModelFile],
    split: &Split,
    settings: &CompareSettings,
    progress: &Progress,
) -> Result<Vec<Compared>> {
    let is_float = |f: &&ModelFile| f.header().format == FormatId::F32;
    let reference = files.iter().find(is_float).or(files.first());
    let reference = reference.context("there is nothing to compare: name at least one model file")?;
    let integer = files.iter().find(|f| f.header().format.is_integer());
    check(files, reference, integer, settings)?;
    let all = all_rows(split);
    let data = Points {
        dim: split.test.dim,
        values: &all,
    };
    progress.begin("measuring the scatter of the data", 0);
    let floor = match settings.samples {
        0 => None,
        _ => noise_floor(data, SPLITS, settings.seed).map(|(_, high)| high),
    };
    let base = score(reference, split, settings, progress)?;
    let mut rows = Vec::new();
    for file in files {
        let score = match file.name == reference.name {
            true => base.clone(),
            false => score(file, split, settings, progress)?,
        };
        let samples = match settings.samples {
            0 => None,
            count => Some(sample_many(file, count, settings.seed, progress)?),
        };
        let costs = with_model!(file.parse()?, model => costs(&model));
        rows.push(Compared {
            row: Comparison {
                energy_distance: samples.as_ref().map(|s| distance(s, &split.test, data, progress)),
                energy_floor: floor,
                variance: samples.as_ref().and_then(|s| VarianceRatio::new(s, &split.train)),
                ..against(&base, score, costs)
            },
            samples,
        });
    }
    if settings.state
        && let (AnyModel::F32(float), Some(integer)) = (reference.parse()?, integer)
    {
        let noise = (settings.draws, settings.seed);
        let score = evaluate_state(reference, integer, &split.test, noise, progress)?;
        rows.push(Compared {
            row: against(&base, score, costs(&float)),
            samples: None,
        });
    }
    Ok(rows)
}

/// Checks that the files belong together and suffice for what is asked.
fn check(
    files: &[ModelFile],
    reference: &ModelFile,
    integer: Option<&ModelFile>,
    settings: &CompareSettings,
) -> Result<()> {
    if settings.state {
        ensure!(
            reference.header().format == FormatId::F32,
            "the state in Q3.12 is scored with the float network: name the model in f32, too"
        );
        ensure!(
            integer.is_some(),
            "the state in Q3.12 is scored with an integer format's table: name such a file, too"
        );
    }
    for file in files {
        // A file that does not say what it was made from is accepted.
        if let (Ok(a), Ok(b)) = (file.data(), reference.data()) {
            ensure!(
                a.gives_rows_of(&b),
                "{} was made from {}, {} from {}: only models of one data set can be compared",
                file.name,
                a.title(),
                reference.name,
                b.title()
            );
        }
    }
    Ok(())
}

fn score(file: &ModelFile, split: &Split, settings: &CompareSettings, progress: &Progress) -> Result<Evaluation> {
    match file.header().samples_only {
        true => Ok(Evaluation::without_elbo(file)),
        false => evaluate(file, &split.test, settings.draws, settings.seed, progress),
    }
}

/// Puts a score beside that of the reference.
fn against(base: &Evaluation, score: Evaluation, (ram_bytes, macs_per_sample): (usize, u64)) -> Comparison {
    Comparison {
        delta: score.bits_per_dim - base.bits_per_dim,
        delta_error: paired_error(&score, base),
        reference: base.file.clone(),
        score,
        ram_bytes,
        macs_per_sample,
        energy_distance: None,
        energy_floor: None,
        variance: None,
    }
}

/// Standard error of the mean difference of two scores of the same rows.
fn paired_error(a: &Evaluation, b: &Evaluation) -> f64 {
    let n = a.per_row.len() as f64;
    let mean = a.bits_per_dim - b.bits_per_dim;
    let pairs = a.per_row.iter().zip(&b.per_row);
    let square: f64 = pairs.map(|(a, b)| (a - b - mean).powi(2)).sum();
    (square / (n * (n - 1.0).max(1.0))).sqrt()
}

/// Energy distance between samples and data, in model units.
fn distance(samples: &Samples, test: &Dataset, data: Points, progress: &Progress) -> f64 {
    progress.begin("measuring the energy distance", 0);
    let values: Vec<f32> = samples.rows().iter().flat_map(|row| test.kind.from_raw(row)).collect();
    let samples = Points {
        dim: test.dim,
        values: &values,
    };
    energy_distance(samples, data)
}

/// Bytes of RAM, and multiply-accumulates per sample.
fn costs<F: Format>(model: &Model<'_, F>) -> (usize, u64) {
    let macs: u64 = model.layers().map(|l| l.rows as u64 * l.columns as u64).sum();
    (
        device_bytes::<F>(model.dim(), model.width()),
        macs * model.calls() as u64,
    )
}
