//! Reverse variances fitted again after training.

use super::cost::ratio;
use super::paths::value_or_nan;
use super::residuals::{measure_residuals, work};
use super::shrink::expect_unseen;
use super::step_search::{SearchSettings, measure_halves};
use crate::data::Split;
use crate::progress::Progress;
use crate::train::checkpoint::Run;
use ancestral::model::VarianceSpec;
use anyhow::Result;
use nalgebra::DMatrix;

/// Replaces the learned reverse variances of a run by those that its errors ask for, measured at its own γ.
///
/// Variances that were learned with the network are too small for rows that it has not seen. Without validation rows,
/// or without variances of its own, a run stays as it is. Averaged parameters are in place, before and after.
pub fn refit_variances(run: &mut Run, split: &Split, settings: &SearchSettings, progress: &Progress) -> Result<()> {
    let Some(variance) = &run.variance else { return Ok(()) };
    if split.validation.is_empty() {
        return Ok(());
    }
    let gamma = run.gamma.wide()?;
    let spec = variance.spec()?;
    let basis = (!spec.basis.is_empty()).then(|| DMatrix::from_row_slice(run.dim, run.dim, &spec.basis));
    let rows = split.train.len() + split.validation.len();
    progress.begin("fitting the variances", work(rows, gamma.len(), settings.draws));
    let noise = (settings.draws, settings.seed);
    let learned = measure_residuals(run, &split.train, &gamma, noise, progress)?.diagonals(basis.as_ref());
    let expected = match measure_halves(run, split, &gamma, settings, progress)? {
        None => learned,
        Some(halves) => expect_unseen(&learned, &halves, basis.as_ref(), &gamma),
    };
    let pairs = gamma.windows(2).enumerate();
    let ratios = pairs.flat_map(|(s, pair)| {
        let (g_s, g_t) = (value_or_nan(pair, 0), value_or_nan(pair, 1));
        expected.row(s + 1).iter().map(move |e| ratio(g_s, g_t, *e))
    });
    variance.set(&VarianceSpec {
        ratios: ratios.collect(),
        basis: spec.basis,
    })?;
    run.adopt()
}
