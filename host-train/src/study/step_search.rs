//! Search for the table of steps with the least cost.

use super::basis::decorrelate;
use super::cost::{best_cost, cost, cut_price, posterior_cost, ratio};
use super::end_costs::{EndCosts, measure_ends};
use super::paths::{PATHS, Path, cosine, end_points, even, resample, value_or_nan};
use super::residuals::{Diagonals, Residuals, measure_residuals, work};
use super::search::cheapest;
use super::shrink::expect_unseen;
use super::table::ChosenSteps;
use crate::data::Split;
use crate::model::gamma::{LEAST_DISTANCE, LEAST_SPAN};
use crate::model::variance::{VARIANCES, VarianceKind};
use crate::progress::Progress;
use crate::runtime::units::bits_per_nat;
use crate::train::checkpoint::Run;
use crate::train::config::DecoderKind;
use ancestral::schedule::snr;
use anyhow::{Result, ensure};
use nalgebra::DMatrix;

/// The measured errors of a run's network, from which tables of steps are chosen.
pub struct StepSearch {
    train: Residuals,
    /// Errors on two halves of the validation rows, if there are any.
    validation: Option<[Residuals; 2]>,
    test: Residuals,
    ends: EndCosts,
    test_ends: EndCosts,
    learned: Vec<f64>,
    /// Calls of the network beyond the steps.
    decoder_calls: usize,
    basis: DMatrix<f64>,
    /// Least γ_T that the cheapest path may end at.
    least_last: f64,
}

/// Resolution of the grid, and number of draws of the noise.
#[derive(Clone, Copy, Debug)]
pub struct SearchSettings {
    /// Points of the grid.
    pub grid: usize,
    /// Noise draws per row and point.
    pub draws: usize,
    /// Seed of the noise.
    pub seed: u64,
}

impl Default for SearchSettings {
    fn default() -> Self {
        Self {
            grid: 161,
            draws: 4,
            seed: 0,
        }
    }
}

/// Errors in the basis of one kind of variance.
struct Errors<'a> {
    /// On unseen rows, by which a table is chosen.
    expected: Diagonals,
    /// On held-out rows, by which it is reported.
    test: Diagonals,
    basis: Option<&'a DMatrix<f64>>,
}

impl StepSearch {
    /// Measures the errors: on training and validation rows to choose tables by, on held-out rows to report them by.
    ///
    /// * `run`: with its averaged parameters in place.
    pub fn new(run: &Run, split: &Split, settings: &SearchSettings, progress: &Progress) -> Result<Self> {
        ensure!(
            settings.grid >= 8,
            "--grid {} is too coarse: give at least 8",
            settings.grid
        );
        ensure!(settings.draws >= 1, "--draws 0 measures nothing: give at least 1");
        let SearchSettings { grid, draws, seed } = *settings;
        let learned = run.gamma.wide()?;
        let grid = even(end_points(&learned)?, grid - 1);
        let rows = split.train.len() + split.validation.len() + split.test.len();
        progress.begin("measuring errors over gamma", work(rows, grid.len(), draws));
        let train = measure_residuals(run, &split.train, &grid, (draws, seed), progress)?;
        let test = measure_residuals(run, &split.test, &grid, (draws, seed + 1), progress)?;
        let validation = measure_halves(run, split, &grid, settings, progress)?;
        let basis = decorrelate(&train);
        let choices: Vec<&Residuals> = match &validation {
            Some(halves) => halves.iter().collect(),
            None => vec![&train],
        };
        Ok(Self {
            ends: measure_ends(run, split.choices(), &choices, seed),
            test_ends: measure_ends(run, &split.test, &[&test], seed + 1),
            decoder_calls: usize::from(run.config.model.decoder == DecoderKind::Network),
            train,
            validation,
            test,
            learned,
            basis,
            // Not at the bound itself: a run that begins with the path could not end there.
            least_last: run
                .config
                .model
                .last_bound(&run.kind)
                .map_or(f64::NEG_INFINITY, |b| b + LEAST_DISTANCE),
        })
    }

    /// Largest number of steps that the grid allows.
    pub fn longest(&self) -> usize {
        self.train.gamma.len() - 1
    }

    /// Negative ELBO on the held-out rows of a chain of infinitely many steps between the learned ends, in bits per
    /// dimension.
    ///
    /// This is `½ ∫ SNR(γ) ⟨‖x − x̂‖²⟩ dγ` (Kingma et al. 2021, equation 15) by the trapezoidal rule over the grid.
    /// In the limit neither the reverse variance nor the path matters. A network decoder of continuous data has the
    /// variances of rotated directions.
    pub fn limit(&self) -> Result<f64> {
        let errors = self.test.diagonals(None);
        let density = |i: usize| 0.5 * snr(value_or_nan(&self.test.gamma, i)) * errors.row(i).iter().sum::<f64>();
        let pairs = self.test.gamma.windows(2).enumerate();
        let nats: f64 = pairs
            .map(|(i, pair)| match pair {
                [s, t] => 0.5 * (t - s) * (density(i) + density(i + 1)),
                _ => 0.0,
            })
            .sum();
        let (first, last) = end_points(&self.test.gamma)?;
        let Errors { expected, test, .. } = self.errors(VarianceKind::Rotated, self.longest())?;
        let reconstruction = self.test_ends.reconstruction(first, expected.row(0), test.row(0));
        Ok((nats + reconstruction + self.test_ends.prior(last)) * self.bits_per_nat())
    }

    /// Bits per dimension in a nat per row.
    fn bits_per_nat(&self) -> f64 {
        bits_per_nat(self.train.dim)
    }

    /// Returns a table for every path, every variance and each of `steps`, in this order.
    pub fn tables(&self, steps: &[usize], progress: &Progress) -> Result<Vec<ChosenSteps>> {
        let total = PATHS.len() * VARIANCES.len() * steps.len();
        progress.begin("choosing steps", total as u64);
        let mut tables = Vec::with_capacity(total);
        for path in PATHS {
            for variance in VARIANCES {
                for &steps in steps {
                    tables.push(self.table(path, variance, steps)?);
                    progress.advance(1);
                }
            }
        }
        Ok(tables)
    }

    /// Returns the table of `steps` steps of one kind.
    pub fn table(&self, path: Path, variance: VarianceKind, steps: usize) -> Result<ChosenSteps> {
        ensure!(steps >= 1, "a table has at least one step");
        let errors = self.errors(variance, steps)?;
        let gamma = self.gamma(path, variance, steps, &errors.expected)?;
        let mut ratios = Vec::new();
        let (mut sum, mut on_test) = (0.0, 0.0);
        for pair in gamma.windows(2) {
            let [g_s, g_t] = *pair else { continue };
            let (expected, held_out) = (errors.expected.interpolate(g_t), errors.test.interpolate(g_t));
            let row: Vec<f64> = expected
                .iter()
                .map(|e| match variance {
                    VarianceKind::Posterior => 1.0,
                    _ => ratio(g_s, g_t, *e),
                })
                .collect();
            sum += cost(g_s, g_t, &row, &expected);
            on_test += cost(g_s, g_t, &row, &held_out);
            if variance != VarianceKind::Posterior {
                ratios.extend(row);
            }
        }
        let unit = self.bits_per_nat();
        let (first, last) = end_points(&gamma)?;
        let (at_first, on_test_at_first) = (errors.expected.interpolate(first), errors.test.interpolate(first));
        let end_nats = |ends: &EndCosts, found: &[f64]| ends.reconstruction(first, &at_first, found) + ends.prior(last);
        Ok(ChosenSteps {
            path,
            variance,
            steps,
            calls: steps + self.decoder_calls,
            gamma,
            expected_bits_per_dim: (sum + end_nats(&self.ends, &at_first)) * unit,
            test_bits_per_dim: (on_test + end_nats(&self.test_ends, &on_test_at_first)) * unit,
            test_diffusion: on_test * unit,
            deviations: match self.ends.have_deviations() {
                true => at_first.iter().map(|v| v.sqrt()).collect(),
                false => Vec::new(),
            },
            ratios,
            basis: match errors.basis {
                Some(u) => u.transpose().as_slice().to_vec(),
                None => Vec::new(),
            },
            unseen: self.validation.is_some(),
        })
    }

    fn errors(&self, variance: VarianceKind, steps: usize) -> Result<Errors<'_>> {
        let basis = match variance {
            VarianceKind::Rotated => Some(&self.basis),
            _ => None,
        };
        let learned = self.train.diagonals(basis);
        let expected = match &self.validation {
            None => learned,
            Some(halves) => expect_unseen(&learned, halves, basis, &even(end_points(&self.learned)?, steps)),
        };
        Ok(Errors {
            expected,
            test: self.test.diagonals(basis),
            basis,
        })
    }

    fn gamma(&self, path: Path, variance: VarianceKind, steps: usize, expected: &Diagonals) -> Result<Vec<f64>> {
        let ends = end_points(&self.learned)?;
        Ok(match path {
            Path::Even => even(ends, steps),
            Path::Cosine => cosine(ends, steps),
            Path::Learned => resample(&self.learned, steps),
            Path::Best => {
                ensure!(
                    steps <= self.longest(),
                    "{steps} steps need a grid of more than {} points: give --grid",
                    self.train.gamma.len()
                );
                self.cheapest_gamma(variance, steps, expected)
            }
        })
    }

    /// Returns the γ of least cost among the points of the grid.
    ///
    /// It does not end below the bound of γ_T, and avoids steps whose variance integer formats would cut: the ELBO
    /// hardly notices that samples then lack variance.
    fn cheapest_gamma(&self, variance: VarianceKind, steps: usize, expected: &Diagonals) -> Vec<f64> {
        let grid = &self.train.gamma;
        // A run that ends below the bound itself has only its own end.
        let least_last = self.least_last.min(grid.last().copied().unwrap_or(f64::NAN));
        let path = cheapest(
            grid.len(),
            steps,
            |i| {
                let errors = expected.row(i);
                self.ends.reconstruction(value_or_nan(grid, i), errors, errors)
            },
            |s, t| {
                let (g_s, g_t) = (value_or_nan(grid, s), value_or_nan(grid, t));
                match variance {
                    // The ends of a run that begins with the path could not be so close.
                    _ if steps == 1 && g_t - g_s < LEAST_SPAN => f64::INFINITY,
                    VarianceKind::Posterior => posterior_cost(g_s, g_t, expected.row(t)),
                    _ => best_cost(g_s, g_t, expected.row(t)) + cut_price(g_s, g_t, expected.row(t)),
                }
            },
            |i| match value_or_nan(grid, i) < least_last {
                true => f64::INFINITY,
                false => value_or_nan(&self.ends.prior, i),
            },
        );
        path.into_iter().map(|i| value_or_nan(grid, i)).collect()
    }
}

/// Returns the table that is expected to be the cheapest.
pub fn cheapest_table(tables: &[ChosenSteps]) -> Option<&ChosenSteps> {
    tables
        .iter()
        .min_by(|a, b| a.expected_bits_per_dim.total_cmp(&b.expected_bits_per_dim))
}

/// Measures the errors on two halves of the validation rows, if there are any.
pub(crate) fn measure_halves(
    run: &Run,
    split: &Split,
    grid: &[f64],
    settings: &SearchSettings,
    progress: &Progress,
) -> Result<Option<[Residuals; 2]>> {
    let measure = |part: usize| {
        let rows: Vec<usize> = (part..split.validation.len()).step_by(2).collect();
        let noise = (settings.draws, settings.seed + 2 + part as u64);
        measure_residuals(run, &split.validation.select(&rows), grid, noise, progress)
    };
    Ok(match split.validation.len() {
        0 | 1 => None,
        _ => Some([measure(0)?, measure(1)?]),
    })
}
