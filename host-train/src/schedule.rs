//! Few steps at the same likelihood: which γ table, and which reverse variance, cost the ELBO least.
//!
//! A trained network answers for any γ in its range, so the table of steps can be chosen after training. [`residuals`] measures the error of x̂ on
//! training rows over a fine grid of γ; the cost of a step between any two points of the grid follows from it in closed form; [`search`] finds the path
//! of T steps with the least sum (Watson et al. 2021), its two ends included: a chain may begin at more noise and leave more to the decoder, or end
//! at less and leave more to the prior, and with few steps it pays to. The reverse variance is the one that the measured error asks for, per step and per
//! dimension, in the pixels' own basis or in the directions in which the errors are uncorrelated ([`basis`]).

pub mod basis;
pub mod chart;
pub mod ends;
pub mod residuals;
pub mod search;
mod shrink;

use crate::checkpoint::Run;
use crate::data::Split;
use ancestral::model::VarianceSpec;
use ancestral::schedule::snr;
use anyhow::{Context, Result, ensure};
use ends::Ends;
use nalgebra::DMatrix;
use residuals::Residuals;
use serde::{Deserialize, Serialize};

/// Where the γ of the steps lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Path {
    /// At equal distances.
    Even,
    /// `α_t = cos(π/2·t/T)` between the end points (Nichol and Dhariwal 2021, in the form of Salimans and Ho 2022).
    Cosine,
    /// Along the learned table.
    Learned,
    /// Where the cost is least, the ends included.
    Best,
}

/// What the reverse variance is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variance {
    /// The posterior's own.
    #[default]
    Posterior,
    /// What the error of x̂ asks for, per step and dimension.
    Calibrated,
    /// The same in the basis of the errors.
    Rotated,
}

/// Every path.
pub const PATHS: [Path; 4] = [Path::Even, Path::Cosine, Path::Learned, Path::Best];
/// Every variance.
pub const VARIANCES: [Variance; 3] = [Variance::Posterior, Variance::Calibrated, Variance::Rotated];

impl Path {
    /// Its name in tables and charts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Even => "even",
            Self::Cosine => "cosine",
            Self::Learned => "learned",
            Self::Best => "best",
        }
    }
}

impl Variance {
    /// Its name in tables and charts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Posterior => "posterior",
            Self::Calibrated => "calibrated",
            Self::Rotated => "rotated",
        }
    }
}

/// A table of steps, and what it costs.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    /// Where its γ lie.
    pub path: Path,
    /// Its reverse variance.
    pub variance: Variance,
    /// T.
    pub steps: usize,
    /// γ_0 ..= γ_T.
    pub gamma: Vec<f64>,
    /// The negative ELBO in bits per dimension that is expected from the errors that the table was chosen by.
    pub expected_bits_per_dim: f64,
    /// The same measured on the held-out rows.
    pub test_bits_per_dim: f64,
    /// The diffusion term's part of that.
    pub test_diffusion: f64,
    /// By the posterior's own variance, `T × D`; empty where it is that.
    #[serde(skip)]
    pub ratios: Vec<f64>,
    /// The basis, row-major; empty for the identity.
    #[serde(skip)]
    pub basis: Vec<f64>,
}

impl Table {
    /// For a model file.
    pub fn variance(&self) -> Option<VarianceSpec> {
        (!self.ratios.is_empty()).then(|| VarianceSpec {
            ratios: self.ratios.clone(),
            basis: self.basis.clone(),
        })
    }
}

/// The errors of a run's network, measured; what tables are made from.
pub struct Study {
    train: Residuals,
    /// On two halves of the rows for validation, where there are such.
    validation: Option<[Residuals; 2]>,
    test: Residuals,
    ends: Ends,
    test_ends: Ends,
    learned: Vec<f64>,
    basis: DMatrix<f64>,
}

/// How fine the grid is, and how often each row is noised.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Points of the grid.
    pub grid: usize,
    /// Noise draws per row and point.
    pub draws: usize,
    /// Seed of the noise.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            grid: 161,
            draws: 4,
            seed: 0,
        }
    }
}

impl Study {
    /// Measures on training and validation rows, for the tables, and on held-out rows, for what is reported about them.
    ///
    /// * `run`: with its averaged parameters in place.
    pub fn new(run: &Run, split: &Split, settings: &Settings) -> Result<Self> {
        ensure!(settings.grid >= 8, "--grid {} is too coarse: at least 8", settings.grid);
        ensure!(settings.draws >= 1, "at least one draw of the noise is needed");
        let learned = run.gamma.wide()?;
        let grid = even(ends(&learned)?, settings.grid - 1);
        let train = residuals::measure(run, &split.train, &grid, settings.draws, settings.seed)?;
        let test = residuals::measure(run, &split.test, &grid, settings.draws, settings.seed + 1)?;
        let validation = halves(run, split, &grid, settings)?;
        let basis = basis::of_errors(&train);
        Ok(Self {
            ends: ends::measure(split.choices(), &grid, settings.seed),
            test_ends: ends::measure(&split.test, &grid, settings.seed + 1),
            train,
            validation,
            test,
            learned,
            basis,
        })
    }

    /// The best number of steps that the grid allows.
    pub fn longest(&self) -> usize {
        self.train.gamma.len() - 1
    }

    /// The negative ELBO on the held-out rows of a chain of infinitely many steps between the learned ends, in bits per dimension:
    /// `½ ∫ SNR(γ) ⟨‖x − x̂‖²⟩ dγ` (Kingma et al. 2021, equation 15) by the trapezoidal rule over the grid. There the reverse variance does
    /// not matter, and neither does the path.
    pub fn limit(&self) -> f64 {
        let errors = self.test.diagonals(None);
        let density = |i: usize| 0.5 * snr(at(&self.test.gamma, i)) * errors.row(i).iter().sum::<f64>();
        let pairs = self.test.gamma.windows(2).enumerate();
        let nats: f64 = pairs
            .map(|(i, pair)| match pair {
                [s, t] => 0.5 * (t - s) * (density(i) + density(i + 1)),
                _ => 0.0,
            })
            .sum();
        let ends = at(&self.test_ends.reconstruction, 0) + at(&self.test_ends.prior, self.longest());
        (nats + ends) * self.unit()
    }

    /// Bits per dimension in a nat per row.
    fn unit(&self) -> f64 {
        1.0 / (self.train.dim as f64 * std::f64::consts::LN_2)
    }

    /// The table of `steps` steps of one kind.
    pub fn table(&self, path: Path, variance: Variance, steps: usize) -> Result<Table> {
        ensure!(steps >= 1, "a table has at least one step");
        let basis = match variance {
            Variance::Rotated => Some(&self.basis),
            _ => None,
        };
        let learnt = self.train.diagonals(basis);
        let expected = match &self.validation {
            None => learnt,
            Some(halves) => shrink::expected(&learnt, halves, basis, &even(ends(&self.learned)?, steps)),
        };
        let test = self.test.diagonals(basis);
        let gamma = match path {
            Path::Even => even(ends(&self.learned)?, steps),
            Path::Cosine => cosine(ends(&self.learned)?, steps),
            Path::Learned => resample(&self.learned, steps),
            Path::Best => {
                ensure!(
                    steps <= self.longest(),
                    "{steps} steps need a grid of more than {} points: give --grid",
                    self.train.gamma.len()
                );
                let grid = &self.train.gamma;
                let path = search::cheapest(
                    grid.len(),
                    steps,
                    |i| at(&self.ends.reconstruction, i),
                    |s, t| {
                        let (g_s, g_t) = (at(grid, s), at(grid, t));
                        let errors = expected.row(t);
                        match variance {
                            Variance::Posterior => loss(g_s, g_t, errors),
                            _ => best_cost(g_s, g_t, errors),
                        }
                    },
                    |i| at(&self.ends.prior, i),
                );
                path.into_iter().map(|i| at(grid, i)).collect()
            }
        };
        let mut ratios = Vec::new();
        let (mut sum, mut on_test) = (0.0, 0.0);
        for pair in gamma.windows(2) {
            let [g_s, g_t] = *pair else { continue };
            let (errors, held_out) = (expected.at(g_t), test.at(g_t));
            let row: Vec<f64> = errors
                .iter()
                .map(|e| match variance {
                    Variance::Posterior => 1.0,
                    _ => ratio(g_s, g_t, *e),
                })
                .collect();
            sum += cost(g_s, g_t, &row, &errors);
            on_test += cost(g_s, g_t, &row, &held_out);
            if variance != Variance::Posterior {
                ratios.extend(row);
            }
        }
        let unit = self.unit();
        let (first, last) = ends(&gamma)?;
        let at_ends = |ends: &Ends| {
            let of = |values: &[f64], gamma: f64| {
                let (index, share) = residuals::place(&self.train.gamma, gamma);
                let low = at(values, index);
                low + share * (values.get(index + 1).copied().unwrap_or(low) - low)
            };
            of(&ends.reconstruction, first) + of(&ends.prior, last)
        };
        Ok(Table {
            path,
            variance,
            steps,
            gamma,
            expected_bits_per_dim: (sum + at_ends(&self.ends)) * unit,
            test_bits_per_dim: (on_test + at_ends(&self.test_ends)) * unit,
            test_diffusion: on_test * unit,
            ratios,
            basis: match basis {
                Some(u) => u.transpose().as_slice().to_vec(),
                None => Vec::new(),
            },
        })
    }
}

/// Gives a run with variances of its own those that the errors at its own γ ask for, where rows for validation can tell: parameters that were
/// learned with the network are too small for rows that it has not learnt. Averaged parameters in place, before and after.
pub fn refit(run: &mut Run, split: &Split, settings: &Settings) -> Result<()> {
    let Some(variance) = &run.variance else { return Ok(()) };
    if split.validation.is_empty() {
        return Ok(());
    }
    let gamma = run.gamma.wide()?;
    let spec = variance.spec()?;
    let basis = (!spec.basis.is_empty()).then(|| DMatrix::from_row_slice(run.dim, run.dim, &spec.basis));
    let learnt =
        residuals::measure(run, &split.train, &gamma, settings.draws, settings.seed)?.diagonals(basis.as_ref());
    let expected = match halves(run, split, &gamma, settings)? {
        None => learnt,
        Some(halves) => shrink::expected(&learnt, &halves, basis.as_ref(), &gamma),
    };
    let pairs = gamma.windows(2).enumerate();
    let ratios = pairs.flat_map(|(s, pair)| {
        let (g_s, g_t) = (at(pair, 0), at(pair, 1));
        expected.row(s + 1).iter().map(move |e| ratio(g_s, g_t, *e))
    });
    variance.set(&VarianceSpec {
        ratios: ratios.collect(),
        basis: spec.basis,
    })?;
    run.adopt()
}

/// The errors on two halves of the rows for validation, if there are any.
fn halves(run: &Run, split: &Split, grid: &[f64], settings: &Settings) -> Result<Option<[Residuals; 2]>> {
    let measured = |part: usize| {
        let rows: Vec<usize> = (part..split.validation.len()).step_by(2).collect();
        let seed = settings.seed + 2 + part as u64;
        residuals::measure(run, &split.validation.select(&rows), grid, settings.draws, seed)
    };
    Ok(match split.validation.len() {
        0 | 1 => None,
        _ => Some([measured(0)?, measured(1)?]),
    })
}

fn at(values: &[f64], index: usize) -> f64 {
    values.get(index).copied().unwrap_or(f64::NAN)
}

pub(crate) fn ends(gamma: &[f64]) -> Result<(f64, f64)> {
    let (first, last) = gamma.first().zip(gamma.last()).context("the schedule is empty")?;
    Ok((*first, *last))
}

/// `½ (SNR_s − SNR_t) Σ_d e_d`: what a step costs with the posterior's own variance.
fn loss(gamma_s: f64, gamma_t: f64, errors: &[f64]) -> f64 {
    0.5 * (snr(gamma_s) - snr(gamma_t)) * errors.iter().sum::<f64>()
}

/// The best variance for a mean squared error, by the posterior's own: `1 + (SNR_s − SNR_t) e`.
fn ratio(gamma_s: f64, gamma_t: f64, error: f64) -> f64 {
    1.0 + (snr(gamma_s) - snr(gamma_t)) * error
}

/// `½ Σ_d ln(1 + (SNR_s − SNR_t) e_d)`: what a step costs with the best variance.
fn best_cost(gamma_s: f64, gamma_t: f64, errors: &[f64]) -> f64 {
    errors.iter().map(|e| 0.5 * ratio(gamma_s, gamma_t, *e).ln()).sum()
}

/// `½ Σ_d [ln r_d + (1 + (SNR_s − SNR_t) e_d)/r_d − 1]`: what a step costs with any variance.
fn cost(gamma_s: f64, gamma_t: f64, ratios: &[f64], errors: &[f64]) -> f64 {
    let of = |(r, e): (&f64, &f64)| 0.5 * (r.ln() + ratio(gamma_s, gamma_t, *e) / r - 1.0);
    ratios.iter().zip(errors).map(of).sum()
}

pub(crate) fn even((first, last): (f64, f64), steps: usize) -> Vec<f64> {
    (0..=steps)
        .map(|t| first + (last - first) * t as f64 / steps as f64)
        .collect()
}

/// `γ = 2 ln tan φ` with φ even between the angles of the two ends.
pub(crate) fn cosine((first, last): (f64, f64), steps: usize) -> Vec<f64> {
    let angle = |gamma: f64| (0.5 * gamma).exp().atan();
    let (a, b) = (angle(first), angle(last));
    let mut gamma: Vec<f64> = (0..=steps)
        .map(|t| 2.0 * (a + (b - a) * t as f64 / steps as f64).tan().ln())
        .collect();
    // The end points are the model's, to the bit.
    if let [begin, .., end] = gamma.as_mut_slice() {
        (*begin, *end) = (first, last);
    }
    gamma
}

/// The learned table at other times, linear between its points.
fn resample(learned: &[f64], steps: usize) -> Vec<f64> {
    let last = learned.len() - 1;
    (0..=steps)
        .map(|t| {
            let place = t as f64 * last as f64 / steps as f64;
            let (index, share) = (place as usize, place.fract());
            let low = at(learned, index);
            let high = learned.get(index + 1).copied().unwrap_or(low);
            low + share * (high - low)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_keep_their_ends_and_increase() {
        let learned = [-7.0, -3.0, -1.0, 0.5, 5.0];
        for steps in [1, 2, 7, 64] {
            for path in [
                even((-7.0, 5.0), steps),
                cosine((-7.0, 5.0), steps),
                resample(&learned, steps),
            ] {
                assert_eq!((path[0], path[steps], path.len()), (-7.0, 5.0, steps + 1));
                assert!(path.windows(2).all(|w| w[0] < w[1]), "{path:?}");
            }
        }
        assert_eq!(resample(&learned, 4), learned);
        assert_eq!(resample(&learned, 8)[1], -5.0);
    }

    #[test]
    fn the_best_variance_is_the_best() {
        let (s, t) = (-2.0, 1.0);
        let errors = [0.01, 0.2, 1.5];
        let best: Vec<f64> = errors.iter().map(|e| ratio(s, t, *e)).collect();
        let least = cost(s, t, &best, &errors);
        assert!((least - best_cost(s, t, &errors)).abs() < 1e-12);
        assert!((cost(s, t, &[1.0; 3], &errors) - loss(s, t, &errors)).abs() < 1e-12);
        for factor in [0.7, 0.95, 1.05, 1.6] {
            let other: Vec<f64> = best.iter().map(|r| r * factor).collect();
            assert!(cost(s, t, &other, &errors) > least);
        }
    }
}
