//! Gains of the network's output, fitted on validation rows after training.

use crate::data::Dataset;
use crate::fused::elbo::Rows;
use crate::model::gain::{GainCurve, LARGEST_GAIN, LEAST_GAIN};
use crate::progress::Progress;
use crate::rng::TrainRng;
use crate::train::checkpoint::Run;
use crate::train::config::DecoderKind;
use ancestral::schedule::{Prediction, snr, step_weight};
use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use nalgebra::{DMatrix, SymmetricEigen};

/// Largest number of intervals between the points of a curve.
const INTERVALS: usize = 16;
/// Noise draws of each row and point.
const DRAWS: usize = 8;
/// Seed of the noise.
const SEED: u64 = 0x6A1_4E5;
/// Newton steps to the best gain. The cost is close to a parabola.
const NEWTON_STEPS: usize = 3;
/// Distance of the gains that derivatives are taken from.
const DISTANCE: f64 = 0.1;

/// Replaces the gains of a run's network by those that cost the ELBO least on validation rows.
///
/// A gain that few rows tell is itself off. So it is drawn towards 1 by the share of its squared distance from 1 that
/// its own standard error explains. Only log-odds get gains: the size of another output says how widely the data is
/// spread, and few rows may be spread by less. A run without validation rows keeps the gains that it has. Averaged
/// parameters are in place, before and after.
pub fn fit_gains(run: &mut Run, validation: &Dataset, progress: &Progress) -> Result<()> {
    if validation.len() < 2 || !matches!(run.read_out().prediction, Prediction::Odds { .. }) {
        return Ok(());
    }
    let table = run.gamma.wide()?;
    let steps = table.len() - 1;
    let intervals = steps.min(INTERVALS);
    progress.begin("fitting the gains", (intervals + 1) as u64);
    run.network.set_gains(None);
    let mut points = Vec::new();
    // The network is not called at t = 0 unless it decodes.
    let first = usize::from(run.config.model.decoder == DecoderKind::Factorized);
    for point in 0..=intervals {
        let t = (point * steps / intervals).max(first);
        let before = t.checked_sub(1).and_then(|s| table.get(s).copied());
        if let Some(&gamma) = table.get(t) {
            points.push((gamma, Trial::new(run, validation, before, gamma)?.best_gain()?.shrunk()));
        }
        progress.advance(1);
    }
    points.dedup_by_key(|(gamma, _)| *gamma);
    run.network.set_gains(Some(GainCurve::new(&points)?));
    Ok(())
}

/// The network's outputs at one γ, whose gain is sought.
struct Trial<'a> {
    run: &'a Run,
    /// Rows of the data, with each draw of the noise.
    noised: Vec<Rows>,
    outputs: Vec<Tensor>,
    /// γ of each row.
    column: Tensor,
    /// Matrix that takes an error to a vector whose squared length is its cost; at t = 0 the levels' nats are the cost.
    metric: Option<Tensor>,
}

/// A gain and its standard error.
#[derive(Clone, Copy, Debug)]
struct Estimate {
    gain: f64,
    error: f64,
}

impl Estimate {
    fn shrunk(self) -> f64 {
        let distance = self.gain - 1.0;
        let own = 1.0 - (self.error / distance).powi(2);
        // Without any distance `own` is NaN, and the maximum is 0.
        (1.0 + distance * own.max(0.0)).clamp(LEAST_GAIN, LARGEST_GAIN)
    }
}

impl<'a> Trial<'a> {
    /// * `before`: γ that the step leads to, or `None` for the call at t = 0.
    fn new(run: &'a Run, data: &Dataset, before: Option<f64>, gamma: f64) -> Result<Self> {
        let (n, dim, device) = (data.len(), data.dim, Device::Cpu);
        let mut rng = TrainRng::new(SEED);
        let x = Tensor::from_slice(&data.rows, (n, dim), &device)?;
        let place = Tensor::new(&[gamma as f32], &device)?;
        let column = Tensor::full(gamma as f32, (n, 1), &device)?;
        let (mut noised, mut outputs) = (Vec::new(), Vec::new());
        for _ in 0..DRAWS {
            let noise = Tensor::from_vec(rng.matched_normals(n, dim), (n, dim), &device)?;
            let rows = Rows::new(&x, &noise, vec![0; n].into())?;
            outputs.push(run.network.output(&rows.state(&place)?, &column)?);
            noised.push(rows);
        }
        let mut trial = Self {
            run,
            noised,
            outputs,
            column,
            metric: None,
        };
        trial.metric = before.map(|before| trial.metric(before, gamma)).transpose()?;
        Ok(trial)
    }

    /// Finds the gain of least cost by Newton's method, and its standard error from the spread of the rows.
    fn best_gain(&self) -> Result<Estimate> {
        let mut gain = 1.0;
        let mut error = f64::INFINITY;
        for _ in 0..NEWTON_STEPS {
            let [low, here, high] = [gain - DISTANCE, gain, gain + DISTANCE].map(|g| self.costs(g));
            let (low, here, high) = (low?, here?, high?);
            let slopes: Vec<f64> = low.iter().zip(&high).map(|(l, h)| (h - l) / (2.0 * DISTANCE)).collect();
            let outer: f64 = low.iter().chain(&high).sum();
            let bend = (outer - 2.0 * here.iter().sum::<f64>()) / (DISTANCE * DISTANCE);
            if bend <= 0.0 {
                return Ok(Estimate {
                    gain: 1.0,
                    error: f64::INFINITY,
                });
            }
            let slope: f64 = slopes.iter().sum();
            let mean = slope / slopes.len() as f64;
            let variance: f64 = slopes.iter().map(|s| (s - mean).powi(2)).sum();
            error = variance.sqrt() / bend;
            gain = (gain - slope / bend).clamp(LEAST_GAIN, 2.0 - LEAST_GAIN);
        }
        Ok(Estimate { gain, error })
    }

    /// Returns the cost of each row with a gain, over all draws.
    fn costs(&self, gain: f64) -> Result<Vec<f64>> {
        let mut sums = vec![0.0; self.column.dim(0)?];
        for (rows, f) in self.noised.iter().zip(&self.outputs) {
            let f = (f * gain)?;
            let nats = match &self.metric {
                Some(metric) => self.error(rows, &f)?.matmul(metric)?.sqr()?.sum(1)?,
                None => rows.level_nats(&f, &self.column, self.run.read_out())?.flatten_all()?,
            };
            let nats: Vec<f64> = nats.to_dtype(DType::F64)?.to_vec1()?;
            sums.iter_mut().zip(nats).for_each(|(sum, nats)| *sum += nats);
        }
        Ok(sums)
    }

    /// Returns x̂ − x in the unit of the noise, 1/√SNR.
    fn error(&self, rows: &Rows, f: &Tensor) -> Result<Tensor> {
        Ok(rows.error(f, &self.column, self.run.read_out())?.to_dtype(DType::F64)?)
    }

    /// Makes the matrix of the cost of an error. A step costs `½ Σ_d ln(1 + w⟨e_d²⟩)` with its best variance, so a
    /// direction counts by `w/(1 + w⟨e_d²⟩)`. With the posterior's variance all directions count the same.
    fn metric(&self, before: f64, gamma: f64) -> Result<Tensor> {
        let dim = self.run.dim;
        let mut covariance = DMatrix::zeros(dim, dim);
        for (rows, f) in self.noised.iter().zip(&self.outputs) {
            let error = self.error(rows, f)?;
            let product: Vec<f64> = error.t()?.matmul(&error)?.flatten_all()?.to_vec1()?;
            covariance += DMatrix::from_row_slice(dim, dim, &product) / (error.dim(0)? * DRAWS) as f64;
        }
        let weight = |square: f64| match &self.run.variance {
            None => 1.0,
            // The errors are in the unit of the noise.
            Some(_) => 1.0 / (0.5 * snr(gamma) / step_weight(before, gamma) + square),
        };
        let SymmetricEigen {
            eigenvectors,
            eigenvalues,
        } = SymmetricEigen::new(covariance);
        let roots = eigenvalues.map(|square| weight(square.max(0.0)).sqrt());
        let matrix = eigenvectors * DMatrix::from_diagonal(&roots);
        // nalgebra's order is by columns.
        Ok(Tensor::from_vec(
            matrix.transpose().as_slice().to_vec(),
            (dim, dim),
            &Device::Cpu,
        )?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gain_counts_as_far_as_the_rows_tell() {
        for (gain, error, expected) in [
            (0.9, 0.0, 0.9),
            (0.9, 0.05, 0.925),
            (0.9, 0.2, 1.0),
            (1.0, 0.0, 1.0),
            (1.3, 0.01, LARGEST_GAIN),
            (0.1, 0.0, LEAST_GAIN),
            (0.9, f64::INFINITY, 1.0),
        ] {
            let found = Estimate { gain, error }.shrunk();
            assert!((found - expected).abs() < 1e-12, "{gain} ± {error}: {found}");
        }
    }
}
