//! How much the diffusion term of a row varies as it is estimated in training, from one time and one draw of the noise.
//!
//! In continuous time every γ between the same two ends has the same mean, so the γ that varies least is the best to train with.

use crate::data::Dataset;
use crate::model::gamma::{CurveKind, GammaTable};
use crate::rng::TrainRng;
use crate::study::paths::{Path, cosine, ends, even};
use crate::train::checkpoint::Run;
use crate::train::loss::{Draws, Dropout, Objective, times_to_steps};
use anyhow::{Result, ensure};
use candle_core::{Device, Tensor};
use serde::Serialize;

/// Straight pieces that a schedule in continuous time is put together from.
const PIECES: usize = 1024;
/// The schedules that are compared.
const SCHEDULES: [Path; 3] = [Path::Even, Path::Cosine, Path::Learned];

/// What is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Rows of data, at most.
    pub rows: usize,
    /// Times and noises for each.
    pub draws: usize,
    /// Batches as training draws them.
    pub batches: usize,
    /// Seed of both.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rows: 500,
            draws: 128,
            batches: 400,
            seed: 0,
        }
    }
}

/// The estimate along one schedule.
#[derive(Clone, Debug, Serialize)]
pub struct Estimate {
    /// Where γ lies between the learned ends.
    pub schedule: Path,
    /// T, or none for infinitely many steps.
    pub steps: Option<usize>,
    /// Its mean over rows, times and noise, in bits per dimension.
    pub mean: f64,
    /// The root of its variance over times and noise, which is taken row by row and then averaged; in bits per dimension.
    pub deviation: f64,
    /// The standard deviation of the estimate from a batch as training draws it: its rows by chance, its times stratified.
    pub of_batch: f64,
}

/// Measures all schedules, in continuous time and with the run's T, on the first rows of `data`.
///
/// Times are stratified over a row's draws, which leaves the variance too small by less than one part in their number.
///
/// * `run`: with its averaged parameters in place.
pub fn measure(run: &Run, data: &Dataset, settings: &Settings) -> Result<Vec<Estimate>> {
    ensure!(settings.rows >= 1, "--rows is 0: at least one is needed");
    for (name, value) in [("draws", settings.draws), ("batches", settings.batches)] {
        ensure!(value >= 2, "--{name} {value}: at least 2 are needed");
    }
    let ends = ends(&run.gamma.wide()?)?;
    let steps = run.gamma.steps();
    let mut found = Vec::new();
    for limit in [true, false] {
        for schedule in SCHEDULES {
            let pieces = if limit { PIECES } else { steps };
            let gamma = match schedule {
                Path::Cosine => table(&cosine(ends, pieces))?,
                Path::Learned => run.gamma.clone(),
                Path::Even | Path::Best => table(&even(ends, pieces))?,
            };
            let (mean, variance) = moments(run, &gamma, limit, data, settings)?;
            let unit = 1.0 / (run.dim as f64 * std::f64::consts::LN_2);
            found.push(Estimate {
                schedule,
                steps: (!limit).then_some(steps),
                mean: mean * unit,
                deviation: variance.sqrt() * unit,
                of_batch: of_batch(run, &gamma, limit, data, settings)? * unit,
            });
        }
    }
    Ok(found)
}

fn table(gamma: &[f64]) -> Result<GammaTable> {
    let (first, last) = ends(gamma)?;
    let table = GammaTable::new(first, last, gamma.len() - 1, CurveKind::Table, false, &Device::Cpu)?;
    table.set(gamma)?;
    Ok(table)
}

/// Mean and variance within a row, each averaged over the rows, in nats and their square.
fn moments(run: &Run, gamma: &GammaTable, limit: bool, data: &Dataset, settings: &Settings) -> Result<(f64, f64)> {
    let dim = data.dim;
    let objective = along(run, gamma);
    let n = settings.rows.min(data.len());
    let x = Tensor::from_slice(&data.rows[..n * dim], (n, dim), &Device::Cpu)?;
    // The same for every schedule, so that they are compared draw by draw.
    let mut rng = TrainRng::new(settings.seed);
    let offsets: Vec<f64> = (0..n).map(|_| f64::from(rng.uniform())).collect();
    let draws = settings.draws as f64;
    let times: Vec<f64> = (0..settings.draws)
        .flat_map(|draw| offsets.iter().map(move |u| (u + draw as f64) / draws))
        .collect();
    // All at once: the table is made anew at every call.
    let (at, rise) = gamma.interpolate(&times)?;
    let (at, rise) = (at.detach(), rise.detach());
    let mut sums = vec![(0.0, 0.0); n];
    for (draw, times) in times.chunks(n).enumerate() {
        let noise = rng.normals(n, dim, &Device::Cpu)?;
        let nats = match limit {
            true => {
                let draws = Draws {
                    share: n.into(),
                    times: times.to_vec(),
                    first_noise: noise.clone(),
                    noise,
                    masks: Vec::new(),
                };
                let (at, rise) = (at.narrow(0, draw * n, n)?, rise.narrow(0, draw * n, n)?);
                objective.limit_row_nats(&x, &draws, &at, &rise)?
            }
            false => {
                let draws = Draws {
                    share: n.into(),
                    times: times_to_steps(times.iter().copied(), gamma.steps()).into(),
                    first_noise: noise.clone(),
                    noise,
                    masks: Vec::new(),
                };
                objective.row_nats(&x, &draws)?
            }
        };
        for ((sum, squares), nats) in sums.iter_mut().zip(nats.flatten_all()?.to_vec1::<f32>()?) {
            *sum += f64::from(nats);
            *squares += f64::from(nats).powi(2);
        }
    }
    let means = sums.iter().map(|(sum, _)| sum / draws);
    let variances = sums
        .iter()
        .map(|(sum, squares)| squares / draws - (sum / draws).powi(2));
    Ok((means.sum::<f64>() / n as f64, variances.sum::<f64>() / n as f64))
}

/// Returns the objective of a run along another schedule, with the posterior's variance.
fn along<'a>(run: &'a Run, gamma: &'a GammaTable) -> Objective<'a> {
    Objective {
        gamma,
        variance: None,
        ..run.objective(None)
    }
}

/// The standard deviation of a batch's estimate, in nats.
fn of_batch(run: &Run, gamma: &GammaTable, limit: bool, data: &Dataset, settings: &Settings) -> Result<f64> {
    let dim = data.dim;
    let objective = along(run, gamma);
    let n = run.config.train.batch;
    let mut rng = TrainRng::new(settings.seed);
    let mut one = || -> Result<f64> {
        let x = Tensor::from_vec(data.draw(n, &mut rng), (n, dim), &Device::Cpu)?;
        let draws = Draws::new(n, dim, Dropout::NONE, &mut rng, &Device::Cpu)?;
        let nats = match limit {
            true => {
                let (at, rise) = gamma.interpolate(&draws.times)?;
                objective.limit_row_nats(&x, &draws, &at.detach(), &rise.detach())?
            }
            false => objective.row_nats(&x, &draws.in_steps(gamma.steps()))?,
        };
        Ok(f64::from(nats.mean_all()?.to_scalar::<f32>()?))
    };
    let found: Vec<f64> = (0..settings.batches).map(|_| one()).collect::<Result<_>>()?;
    let mean = found.iter().sum::<f64>() / found.len() as f64;
    let squares: f64 = found.iter().map(|v| (v - mean).powi(2)).sum();
    Ok((squares / (found.len() - 1) as f64).sqrt())
}
