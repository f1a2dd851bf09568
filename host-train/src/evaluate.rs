//! The exact ELBO of held-out data through an exported model, in the core's own arithmetic.

use crate::data::Dataset;
use crate::runtime::ModelFile;
use crate::with_model;
use ancestral::storage::Heap;
use ancestral::{Elbo, Format, Likelihood, Model};
use anyhow::{Result, ensure};
use rand_core::SeedableRng;
use rand_xoshiro::Xoshiro128PlusPlus;
use rayon::prelude::*;
use serde::Serialize;

/// What `host-train evaluate --json` prints. The terms are in bits per dimension; of continuous data, of its density
/// in the file's units.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    /// The model file.
    pub file: String,
    /// Number format.
    pub format: String,
    /// T.
    pub steps: usize,
    /// Rows scored.
    pub rows: usize,
    /// Noise draws per row and t.
    pub draws: u32,
    /// Seed of the noise.
    pub seed: u64,
    /// The negative ELBO: an upper bound on the cost of a row, divided by its dimensions.
    pub bits_per_dim: f64,
    /// Standard error of `bits_per_dim` over the rows.
    pub standard_error: f64,
    /// Its part from `−ln p(x | z_0)`.
    pub reconstruction: f64,
    /// Its part from `D_KL(q(z_T | x) ‖ N(0, I))`.
    pub prior: f64,
    /// Its part from the T steps.
    pub diffusion: f64,
    /// The prior term in nats per dimension, to be compared with 0.01.
    pub prior_nats_per_dim: f64,
    /// Length of the file.
    pub file_bytes: usize,
}

/// Scores every row of `data`, summing over every t.
///
/// * `draws`: how many times each row is scored with fresh noise;
/// * `seed`: row r, draw k uses the generator seeded with `seed·2³² + r·draws + k`, so the result does not depend on the
///   number of threads, and two formats see the same noise.
pub fn evaluate(file: &ModelFile, data: &Dataset, draws: u32, seed: u64) -> Result<Evaluation> {
    let header = *file.header();
    ensure!(
        data.dim == usize::from(header.dim),
        "{} has {} dimensions, but the rows of {} have {}",
        file.name,
        header.dim,
        data.name,
        data.dim
    );
    let levels = data.levels().unwrap_or(0);
    ensure!(
        levels == header.levels,
        "{} was made for data of {}, but {} has {}",
        file.name,
        kind_name(header.levels),
        data.name,
        kind_name(levels)
    );
    ensure!(draws >= 1, "at least one draw of the noise is needed");
    let scores = with_model!(file.parse()?, model => score(&model, data, draws, seed))?;

    let per_row = 1.0 / (f64::from(draws) * data.dim as f64 * std::f64::consts::LN_2);
    let count = scores.len() as f64;
    let mean = |term: fn(&[f64; 3]) -> f64| scores.iter().map(term).sum::<f64>() * per_row / count;
    let total = |s: &[f64; 3]| s.iter().sum::<f64>() * per_row;
    let bits_per_dim = scores.iter().map(total).sum::<f64>() / count;
    let square = scores.iter().map(|s| (total(s) - bits_per_dim).powi(2)).sum::<f64>();
    let prior = mean(|s| s[1]);
    Ok(Evaluation {
        file: file.name.clone(),
        format: header.format.name().to_owned(),
        steps: usize::from(header.steps),
        rows: data.len(),
        draws,
        seed,
        bits_per_dim,
        standard_error: (square / (count * (count - 1.0).max(1.0))).sqrt(),
        reconstruction: mean(|s| s[0]),
        prior,
        diffusion: mean(|s| s[2]),
        prior_nats_per_dim: prior * std::f64::consts::LN_2,
        file_bytes: file.len(),
    })
}

fn kind_name(levels: u16) -> String {
    if levels == 0 {
        "continuous values".to_owned()
    } else {
        format!("{levels} levels")
    }
}

/// Reconstruction, prior and diffusion of each row in nats, summed over the draws.
fn score<F: Format>(model: &Model<'_, F>, data: &Dataset, draws: u32, seed: u64) -> Result<Vec<[f64; 3]>> {
    (0..data.len())
        .into_par_iter()
        .map_init(
            || Likelihood::with_storage(model, Heap::for_model(model)),
            |likelihood, row| {
                let likelihood = likelihood.as_mut().map_err(|error| *error)?;
                let mut sums = [0.0; 3];
                for draw in 0..u64::from(draws) {
                    let seed = seed.rotate_left(32) ^ (row as u64 * u64::from(draws) + draw);
                    let mut rng = Xoshiro128PlusPlus::seed_from_u64(seed);
                    let Elbo {
                        reconstruction,
                        prior,
                        diffusion,
                    } = match data.row_bytes(row) {
                        Some(levels) => likelihood.elbo_of_levels(&levels, &mut rng)?,
                        None => likelihood.elbo_of_values(&data.kind.to_raw(data.row(row)), &mut rng)?,
                    };
                    for (sum, term) in sums.iter_mut().zip([reconstruction, prior, diffusion]) {
                        *sum += f64::from(term);
                    }
                }
                Ok(sums)
            },
        )
        .collect()
}
