//! One model in several number formats, side by side: likelihood, size, work, and how good the samples are.

use crate::data::{Dataset, Split};
use crate::distance::{Rows, energy_distance, noise_floor};
use crate::evaluate::{Evaluation, evaluate, evaluate_state};
use crate::runtime::{AnyModel, ModelFile};
use crate::sample::{Samples, sample_many};
use crate::with_model;
use ancestral::storage::device_bytes;
use ancestral::{Format, FormatId, Model};
use anyhow::{Context, Result, ensure};
use serde::Serialize;

/// A row of the table, and an object of the JSON list.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The ELBO by term.
    #[serde(flatten)]
    pub score: Evaluation,
    /// `bits_per_dim` less that of the reference, on the same noise.
    pub delta: f64,
    /// Standard error of `delta` over the rows, each of which both have scored.
    pub delta_error: f64,
    /// The file that `delta` is to.
    pub reference: String,
    /// RAM of a sampler's buffers.
    pub ram_bytes: usize,
    /// Multiply-accumulates of the network for one sample.
    pub macs_per_sample: u64,
    /// Energy distance D² between the samples and all rows of the data, in model units.
    pub energy_distance: Option<f64>,
    /// The 95 % point of D² between random halves of the data.
    pub energy_floor: Option<f64>,
}

/// How to compare.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Noise draws per row and step of the ELBO.
    pub draws: u32,
    /// Samples per file for the distance; 0 leaves it out.
    pub samples: usize,
    /// Seed of both.
    pub seed: u64,
    /// Also score the float network behind a fixed-point state.
    pub state: bool,
}

/// Random halves of the data that the floor is taken from.
const SPLITS: usize = 200;

/// A file's row of the table and its samples, for a picture.
pub struct Compared {
    /// The numbers.
    pub row: Comparison,
    /// The samples, if any were drawn.
    pub samples: Option<Samples>,
}

/// Rows of the data that samples are compared with, at most.
const MOST_ROWS: usize = 5000;

/// Compares files on the held-out rows of `split`; the first file in `f32` is the reference, or the first file.
///
/// * `progress`: told what is about to be done.
pub fn compare(
    files: &[ModelFile],
    split: &Split,
    settings: &Settings,
    mut progress: impl FnMut(&str),
) -> Result<Vec<Compared>> {
    let is_float = |f: &&ModelFile| f.header().format == FormatId::F32;
    let reference = files.iter().find(is_float).or(files.first());
    let reference = reference.context("there is nothing to compare: name at least one model file")?;
    let integer = files.iter().find(|f| f.header().format.is_integer());
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
        // A file that does not say what it was made from is taken as it is.
        if let (Ok(a), Ok(b)) = (file.data(), reference.data()) {
            ensure!(
                a == b,
                "{} was made from {}, {} from {}: only models of one data set can be compared",
                file.name,
                a.source,
                reference.name,
                b.source
            );
        }
    }
    let all = [&split.train, &split.validation, &split.test]
        .map(|d| d.rows.as_slice())
        .concat();
    // Distances between all pairs: of very large sets a part is enough.
    let data = Rows {
        dim: split.test.dim,
        values: all.get(..MOST_ROWS * split.test.dim).unwrap_or(&all),
    };
    let floor = match settings.samples {
        0 => None,
        _ => noise_floor(data, SPLITS, settings.seed).map(|(_, high)| high),
    };
    progress(&format!("scoring {}", reference.name));
    let score = |file: &ModelFile| {
        if file.header().samples_only {
            return Ok(Evaluation::none(file));
        }
        evaluate(file, &split.test, settings.draws, settings.seed)
    };
    let base = score(reference)?;
    let mut rows = Vec::new();
    let against = |score: Evaluation, (ram_bytes, macs_per_sample)| Comparison {
        delta: score.bits_per_dim - base.bits_per_dim,
        delta_error: paired_error(&score, &base),
        reference: reference.name.clone(),
        score,
        ram_bytes,
        macs_per_sample,
        energy_distance: None,
        energy_floor: None,
    };
    for file in files {
        let score = if file.name == reference.name {
            base.clone()
        } else {
            progress(&format!("scoring {}", file.name));
            score(file)?
        };
        let samples = if settings.samples > 0 {
            progress(&format!("sampling {}", file.name));
            Some(sample_many(file, settings.samples, settings.seed)?)
        } else {
            None
        };
        let distance = samples.as_ref().map(|s| {
            let values = in_model_units(s, &split.test);
            let samples = Rows {
                dim: split.test.dim,
                values: &values,
            };
            energy_distance(samples, data)
        });
        let costs = with_model!(file.parse()?, model => costs(&model));
        rows.push(Compared {
            row: Comparison {
                energy_distance: distance,
                energy_floor: floor,
                ..against(score, costs)
            },
            samples,
        });
    }
    if settings.state
        && let (AnyModel::F32(float), Some(integer)) = (reference.parse()?, integer)
    {
        progress("scoring the float network behind a state in Q3.12");
        let score = evaluate_state(reference, integer, &split.test, settings.draws, settings.seed)?;
        rows.push(Compared {
            row: against(score, costs(&float)),
            samples: None,
        });
    }
    Ok(rows)
}

/// Standard error of the mean difference of two scores of the same rows.
fn paired_error(a: &Evaluation, b: &Evaluation) -> f64 {
    let n = a.per_row.len() as f64;
    let mean = a.bits_per_dim - b.bits_per_dim;
    let pairs = a.per_row.iter().zip(&b.per_row);
    let square: f64 = pairs.map(|(a, b)| (a - b - mean).powi(2)).sum();
    (square / (n * (n - 1.0).max(1.0))).sqrt()
}

fn in_model_units(samples: &Samples, data: &Dataset) -> Vec<f32> {
    samples.rows().iter().flat_map(|row| data.kind.from_raw(row)).collect()
}

/// Bytes of RAM, and multiply-accumulates of a sample.
fn costs<F: Format>(model: &Model<'_, F>) -> (usize, u64) {
    let macs: u64 = model.layers().map(|l| l.rows as u64 * l.columns as u64).sum();
    (
        device_bytes::<F>(model.dim(), model.width()),
        macs * model.steps() as u64,
    )
}
