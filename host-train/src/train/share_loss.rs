//! Loss and gradients of one rank's share of a batch.

use super::config::Generator;
use super::loss::elbo::select_elbo;
use super::loss::{Draws, Dropout};
use super::run::Run;
use super::step_result::StepResult;
use crate::data::Dataset;
use crate::rng::{Counter, RandomSource, Share};
use crate::runtime::units::bits_per_nat;
use anyhow::Result;
use candle_core::Tensor;

/// Computes loss and gradients of a share of the next batch.
pub(super) fn compute_share(run: &mut Run, data: &Dataset, share: Share) -> Result<StepResult> {
    let device = run.device().clone();
    let config = &run.config;
    let mut counter = Counter {
        seed: config.seed,
        step: run.optimizer.step,
    };
    let source: &mut dyn RandomSource = match config.train.generator {
        Generator::Sequential => &mut run.rng,
        Generator::Counter => &mut counter,
    };
    let x = Tensor::from_vec(data.draw(share, source), (share.rows, run.dim), &device)?;
    let dropout = Dropout {
        probability: config.train.dropout,
        hidden: &config.model.hidden,
    };
    let draws = Draws::new(share, run.dim, run.config.model.decoder, dropout, source, &device)?;
    // Bits per dimension keep the size of the gradient independent of the number of dimensions.
    let unit = bits_per_nat(run.dim);
    select_elbo(run.config.model.time).evaluate(&run.objective(data.levels()), &x, draws, unit)
}
