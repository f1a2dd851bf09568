//! Gains and reverse variances fitted again after training.

use super::basis::decorrelate;
use super::cost::ratio;
use super::gains::fit_gains;
use super::paths::value_or_nan;
use super::residuals::{measure_residuals, work};
use super::shrink::expect_unseen;
use super::step_search::{SearchSettings, measure_halves};
use crate::data::Split;
use crate::progress::Progress;
use crate::train::checkpoint::Run;
use ancestral::model::VarianceSpec;
use ancestral::schedule::snr;
use anyhow::Result;

/// Fits the gains of a run's network on validation rows, then its variances, which depend on them.
pub fn refit(run: &mut Run, split: &Split, settings: &SearchSettings, progress: &Progress) -> Result<()> {
    fit_gains(run, &split.validation, progress)?;
    refit_variances(run, split, settings, progress)
}

/// Replaces the learned variances of a run, of its reverse steps and of its network decoder, by those that its errors
/// ask for, measured at its own γ. Rotated variances get the directions in which these errors are uncorrelated.
///
/// Variances that were learned with the network are too small for rows that it has not seen. Without validation rows,
/// or without variances of its own, a run stays as it is. Averaged parameters are in place, before and after.
pub fn refit_variances(run: &mut Run, split: &Split, settings: &SearchSettings, progress: &Progress) -> Result<()> {
    let Some(variance) = &run.variance else { return Ok(()) };
    if split.validation.is_empty() {
        return Ok(());
    }
    let gamma = run.gamma.wide()?;
    let rotated = !variance.spec()?.basis.is_empty();
    let rows = split.train.len() + split.validation.len();
    progress.begin("fitting the variances", work(rows, gamma.len(), settings.draws));
    let noise = (settings.draws, settings.seed);
    let learned = measure_residuals(run, &split.train, &gamma, noise, progress)?;
    let basis = rotated.then(|| decorrelate(&learned));
    let learned = learned.diagonals(basis.as_ref());
    let halves = measure_halves(run, split, &gamma, settings, progress)?;
    let unseen = halves.is_some();
    let expected = match halves {
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
        basis: basis.map_or(Vec::new(), |u| u.transpose().as_slice().to_vec()),
    })?;
    if variance.decoder_ratios()?.is_some() {
        let own = snr(value_or_nan(&gamma, 0));
        let ratios: Vec<f64> = expected.row(0).iter().map(|e| e * own).collect();
        variance.set_decoder(&ratios)?;
    }
    run.adopt()?;
    run.refitted = unseen;
    Ok(())
}
