//! Variance of the diffusion term as training estimates it, from one time and one draw of the noise.
//!
//! In continuous time every γ between the same two ends has the same mean, so the γ that varies least is the best to
//! train with.

use crate::data::Dataset;
use crate::model::gamma::{CurveKind, GammaBounds, GammaTable};
use crate::progress::Progress;
use crate::rng::TrainRng;
use crate::runtime::units::bits_per_nat;
use crate::study::paths::{Path, cosine, end_points, even};
use crate::train::checkpoint::Run;
use crate::train::loss::{Draws, Dropout, Objective, times_to_steps};
use anyhow::{Result, ensure};
use candle_core::{Device, Tensor};
use serde::Serialize;

/// Straight pieces of a schedule in continuous time.
const PIECES: usize = 1024;
/// The schedules that are compared.
const SCHEDULES: [Path; 3] = [Path::Even, Path::Cosine, Path::Learned];

/// Numbers of rows and draws of a measurement.
#[derive(Clone, Copy, Debug)]
pub struct EstimatorSettings {
    /// Largest number of rows.
    pub rows: usize,
    /// Times and noises for each row.
    pub draws: usize,
    /// Number of training batches.
    pub batches: usize,
    /// Seed of both.
    pub seed: u64,
}

impl Default for EstimatorSettings {
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
    /// Placement of γ between the learned ends.
    pub schedule: Path,
    /// T, or none for infinitely many steps.
    pub steps: Option<usize>,
    /// Mean over rows, times and noise, in bits per dimension.
    pub mean: f64,
    /// Root of the variance over times and noise, taken row by row and then averaged, in bits per dimension.
    pub deviation: f64,
    /// Standard deviation of the estimate from a batch as training draws it: random rows, stratified times.
    #[serde(rename = "of_batch")]
    pub batch_deviation: f64,
}

/// One schedule under measurement.
struct Case<'a> {
    run: &'a Run,
    gamma: &'a GammaTable,
    /// Infinitely many steps instead of the run's T.
    limit: bool,
    data: &'a Dataset,
    settings: &'a EstimatorSettings,
    progress: &'a Progress,
}

/// Measures all schedules, in continuous time and with the run's T, on the first rows of `data`.
///
/// Times are stratified over a row's draws. This leaves the variance too small by less than one part in their number.
///
/// * `run`: with its averaged parameters in place.
pub fn measure_estimates(
    run: &Run,
    data: &Dataset,
    settings: &EstimatorSettings,
    progress: &Progress,
) -> Result<Vec<Estimate>> {
    ensure!(settings.rows >= 1, "--rows is 0: at least one is needed");
    for (name, value) in [("draws", settings.draws), ("batches", settings.batches)] {
        ensure!(value >= 2, "--{name} {value}: at least 2 are needed");
    }
    let ends = end_points(&run.gamma.wide()?)?;
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
            let kind = if limit { "continuous" } else { "discrete" };
            let title = format!("measuring {} gamma, {kind}", schedule.name());
            progress.begin(&title, (settings.draws + settings.batches) as u64);
            let case = Case {
                run,
                gamma: &gamma,
                limit,
                data,
                settings,
                progress,
            };
            let (mean, variance) = case.moments()?;
            let unit = bits_per_nat(run.dim);
            found.push(Estimate {
                schedule,
                steps: (!limit).then_some(steps),
                mean: mean * unit,
                deviation: variance.sqrt() * unit,
                batch_deviation: case.batch_deviation()? * unit,
            });
        }
    }
    Ok(found)
}

fn table(gamma: &[f64]) -> Result<GammaTable> {
    let (first, last) = end_points(gamma)?;
    let (bounds, steps) = (GammaBounds::default(), gamma.len() - 1);
    let table = GammaTable::new((first, last), bounds, steps, CurveKind::Table, false, &Device::Cpu)?;
    table.set(gamma)?;
    Ok(table)
}

impl Case<'_> {
    /// The run's objective along this schedule, with the variance of the posterior.
    fn objective(&self) -> Objective<'_> {
        Objective {
            gamma: self.gamma,
            variance: None,
            ..self.run.objective(None)
        }
    }

    /// Mean and variance within a row, each averaged over the rows, in nats and nats².
    fn moments(&self) -> Result<(f64, f64)> {
        let Self {
            gamma,
            limit,
            data,
            settings,
            progress,
            ..
        } = *self;
        let (dim, objective) = (data.dim, self.objective());
        let n = settings.rows.min(data.len());
        let x = Tensor::from_slice(&data.rows[..n * dim], (n, dim), &Device::Cpu)?;
        // The same for every schedule, so that they are compared draw by draw.
        let mut rng = TrainRng::new(settings.seed);
        let offsets: Vec<f64> = (0..n).map(|_| f64::from(rng.uniform())).collect();
        let draws = settings.draws as f64;
        let times: Vec<f64> = (0..settings.draws)
            .flat_map(|draw| offsets.iter().map(move |u| (u + draw as f64) / draws))
            .collect();
        // All times in one call: every call computes the whole table.
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
                        start_fraction: 0.0,
                        first_noise: None,
                        noise,
                        masks: Vec::new(),
                    };
                    let (at, rise) = (at.narrow(0, draw * n, n)?, rise.narrow(0, draw * n, n)?);
                    objective.limit_row_nats(&x, &draws, &at, &rise)?
                }
                false => {
                    let draws = Draws {
                        share: n.into(),
                        times: times_to_steps(times.iter().copied(), gamma.steps(), 0.0).into(),
                        start_fraction: 0.0,
                        first_noise: None,
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
            progress.advance(1);
        }
        let means = sums.iter().map(|(sum, _)| sum / draws);
        let variances = sums
            .iter()
            .map(|(sum, squares)| squares / draws - (sum / draws).powi(2));
        Ok((means.sum::<f64>() / n as f64, variances.sum::<f64>() / n as f64))
    }

    /// Standard deviation of a batch's estimate, in nats.
    fn batch_deviation(&self) -> Result<f64> {
        let Self {
            run,
            gamma,
            limit,
            data,
            settings,
            progress,
        } = *self;
        let (dim, objective) = (data.dim, self.objective());
        let n = run.config.train.batch;
        let mut rng = TrainRng::new(settings.seed);
        let mut one = || -> Result<f64> {
            let x = Tensor::from_vec(data.draw(n, &mut rng), (n, dim), &Device::Cpu)?;
            let decoder = run.config.model.decoder;
            let draws = Draws::new(n, dim, decoder, Dropout::NONE, &mut rng, &Device::Cpu)?;
            let nats = match limit {
                true => {
                    let (at, rise) = gamma.interpolate(&draws.split_times().0)?;
                    objective.limit_row_nats(&x, &draws, &at.detach(), &rise.detach())?
                }
                false => objective.row_nats(&x, &draws.in_steps(gamma.steps()))?,
            };
            progress.advance(1);
            Ok(f64::from(nats.mean_all()?.to_scalar::<f32>()?))
        };
        let found: Vec<f64> = (0..settings.batches).map(|_| one()).collect::<Result<_>>()?;
        let mean = found.iter().sum::<f64>() / found.len() as f64;
        let squares: f64 = found.iter().map(|v| (v - mean).powi(2)).sum();
        Ok((squares / (found.len() - 1) as f64).sqrt())
    }
}
