//! The search for the table of steps with the least cost.

use super::cost::{best_cost, cost, loss, ratio};
use super::ends::{self, Ends};
use super::paths::{Path, at, cosine, ends, even, resample};
use super::residuals::Residuals;
use super::table::Table;
use super::{basis, residuals, search, shrink};
use crate::data::Split;
use crate::model::variance::VarianceKind;
use crate::train::checkpoint::Run;
use ancestral::model::VarianceSpec;
use ancestral::schedule::snr;
use anyhow::{Result, ensure};
use nalgebra::DMatrix;

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
    pub fn table(&self, path: Path, variance: VarianceKind, steps: usize) -> Result<Table> {
        ensure!(steps >= 1, "a table has at least one step");
        let basis = match variance {
            VarianceKind::Rotated => Some(&self.basis),
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
                            VarianceKind::Posterior => loss(g_s, g_t, errors),
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
                    VarianceKind::Posterior => 1.0,
                    _ => ratio(g_s, g_t, *e),
                })
                .collect();
            sum += cost(g_s, g_t, &row, &errors);
            on_test += cost(g_s, g_t, &row, &held_out);
            if variance != VarianceKind::Posterior {
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
