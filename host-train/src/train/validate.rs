//! Measuring the ELBO on the validation rows during training.

use super::config::TrainConfig;
use super::loss::{Draws, Dropout};
use super::run::Run;
use crate::data::Dataset;
use crate::parallel::{Group, agree};
use crate::rng::TrainRng;
use crate::runtime::units::bits_per_nat;
use anyhow::Result;
use candle_core::Tensor;

/// Evaluations of a row in one measurement.
const EVALUATIONS: usize = 4096;
/// Rows that are evaluated together.
const BATCH: usize = 256;
/// Number of measurements in a long run.
const MEASUREMENTS: u64 = 50;
/// Share of the time of training that the measurements of a short run may take.
const COST: f64 = 0.015;
/// Time of a training step beside that of an evaluation of the same rows: it has a backward pass.
const STEP_COST: f64 = 3.0;
/// Seed of times and noise, the same in every measurement, so that only the parameters make a difference.
const SEED: u64 = 0x7661_6c69;

/// Returns the number of steps between measurements.
pub(super) fn interval(config: &TrainConfig) -> u64 {
    config.validate_every.unwrap_or_else(|| {
        let affordable = EVALUATIONS as f64 / (COST * STEP_COST * config.batch as f64);
        (config.steps / MEASUREMENTS).max(affordable.ceil() as u64)
    })
}

/// Returns the negative ELBO of the averaged parameters on validation rows, in bits per dimension.
///
/// It is that of the chain of T steps, also for a run in continuous time, because the chain is what is exported. Rows
/// are taken in turn, a time and noise for each, without dropout. Of more than `EVALUATIONS` rows the first are taken.
/// The batches are divided among the ranks and added up in their order, so every rank gets the same bits.
pub(super) fn validate(run: &Run, rows: &Dataset, group: &dyn Group) -> Result<f64> {
    agree(group, run.optimizer.show_average().map_err(Into::into))?;
    let found = mean_over_batches(group, |batch| evaluate_batch(run, rows, batch));
    run.optimizer.show_current()?;
    found
}

fn mean_over_batches(group: &dyn Group, evaluate: impl Fn(usize) -> Result<f64>) -> Result<f64> {
    let batches = EVALUATIONS / BATCH;
    let mut sum = 0.0;
    for first in (0..batches).step_by(group.size()) {
        let own = first + group.rank();
        let local = if own < batches { evaluate(own) } else { Ok(0.0) };
        let bits = agree(group, local)?.to_bits();
        for word in group.gather(bits) {
            sum += f64::from_bits(word);
        }
    }
    Ok(sum / batches as f64)
}

fn evaluate_batch(run: &Run, rows: &Dataset, batch: usize) -> Result<f64> {
    let device = run.device();
    let chosen: Vec<usize> = (batch * BATCH..(batch + 1) * BATCH).map(|i| i % rows.len()).collect();
    let x = Tensor::from_vec(rows.select(&chosen).rows, (BATCH, rows.dim), device)?;
    let mut rng = TrainRng::new(SEED + batch as u64);
    let mut draws = Draws::new(
        BATCH,
        rows.dim,
        run.config.model.decoder,
        Dropout::NONE,
        &mut rng,
        device,
    )?;
    // Times are stratified by place, and a row may have the same place in every batch.
    for i in (1..BATCH).rev() {
        draws.times.swap(i, rng.below(i + 1));
    }
    let draws = draws.in_steps(run.gamma.steps());
    let terms = run.objective(rows.levels()).elbo(&x, &draws)?.values()?;
    Ok(terms.iter().map(|term| f64::from(*term)).sum::<f64>() * bits_per_nat(rows.dim))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::config::Config;

    #[test]
    fn a_run_is_measured_fifty_times_if_it_is_long_enough() {
        let config = Config::parse(include_str!("../../configs/digits.toml")).unwrap();
        let every = |steps: u64, chosen: Option<u64>| {
            interval(&TrainConfig {
                steps,
                validate_every: chosen,
                ..config.train.clone()
            })
        };
        assert_eq!(config.train.batch, 256);
        assert_eq!((every(20_000, None), every(20_000, Some(7))), (400, 7));
        // 4,096 evaluations cost as much as 5.3 steps, which are 1.5 % of 356.
        assert_eq!(every(4_000, None), 356);
    }
}
