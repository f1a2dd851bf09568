//! The ELBO of the chain of T steps.

use super::draws::ChainDraws;
use super::ends::{factorized_nats, prior};
use super::objective::Objective;
use super::row_nats::{RowNats, RowReads, log_variance, start_rows};
use super::terms::Terms;
use crate::fused::{self, elbo::Rows};
use crate::model::variance::GaussianCost;
use crate::train::config::DecoderKind;
use candle_core::{Device, Result, Tensor};

impl Objective<'_> {
    /// Returns the negative ELBO of a batch in discrete time.
    ///
    /// * `x`: `(n, D)` in model units.
    pub fn elbo(&self, x: &Tensor, draws: &ChainDraws) -> Result<Terms> {
        if !fused::serves(x.device()) {
            return self.elbo_plain(x, draws);
        }
        let table = self.gamma.values()?;
        let (rows, f) = self.output_fused(&table, x, draws)?;
        match self.variance {
            None => {
                let terms = rows.cost(&f, &table, self.read_out, draws.start_fraction)?;
                let decoder = match draws.start_fraction {
                    0.0 => None,
                    _ => Some(terms.get(0)?),
                };
                self.chain_terms(&table, x, draws, decoder, terms.get(1)?)
            }
            Some(_) => {
                let steps = StepColumns::new(&table, draws, x.device())?;
                let reads = self.read_fused(&rows, &f, &steps.gamma)?;
                self.mean_terms(&table, x, draws, &self.chain_rows(&steps, draws, &reads)?)
            }
        }
    }

    /// Returns the same terms, computed by candle's own operations. Other devices use them, and they are the reference
    /// for the fused operations.
    pub fn elbo_plain(&self, x: &Tensor, draws: &ChainDraws) -> Result<Terms> {
        let table = self.gamma.values()?;
        let steps = StepColumns::new(&table, draws, x.device())?;
        let reads = self.chain_reads_plain(&table, &steps, x, draws)?;
        self.mean_terms(&table, x, draws, &self.chain_rows(&steps, draws, &reads)?)
    }

    /// Returns each row's own estimate of the diffusion term, `(n, 1)`: their mean is the term.
    pub fn row_nats(&self, x: &Tensor, draws: &ChainDraws) -> Result<Tensor> {
        let table = self.gamma.values()?;
        let steps = StepColumns::new(&table, draws, x.device())?;
        let reads = match fused::serves(x.device()) {
            true => {
                let (rows, f) = self.output_fused(&table, x, draws)?;
                self.read_fused(&rows, &f, &steps.gamma)?
            }
            false => self.chain_reads_plain(&table, &steps, x, draws)?,
        };
        self.chain_rows(&steps, draws, &reads)?.step * self.chain_factor(draws)
    }

    /// Returns the network's results for the rows, computed by candle's own operations.
    fn chain_reads_plain(
        &self,
        table: &Tensor,
        steps: &StepColumns,
        x: &Tensor,
        draws: &ChainDraws,
    ) -> Result<RowReads> {
        let (alpha, sigma) = (root_sigmoid(&steps.gamma.neg()?)?, root_sigmoid(&steps.gamma)?);
        let z = (x.broadcast_mul(&alpha)? + draws.noise.broadcast_mul(&sigma)?)?;
        let t = draws.times.tensor(x.device())?;
        let biases = self.network.biases(&table.unsqueeze(1)?)?.index_select(&t, 0)?;
        let f = self.network.forward_plain(&z, &biases, &draws.masks)?;
        let f = self.network.with_gain(f, &steps.gamma)?;
        self.read_plain(x, &z, &f, &steps.gamma)
    }

    /// Returns the network's output at each row's step, and the operands of what follows.
    fn output_fused(&self, table: &Tensor, x: &Tensor, draws: &ChainDraws) -> Result<(Rows, Tensor)> {
        let rows = Rows::new(x, &draws.noise, draws.times.clone())?;
        // The biases are computed once per entry of the table, not once per row.
        let biases = self.network.biases(&table.unsqueeze(1)?)?;
        let z = rows.state(table)?;
        let f = self
            .network
            .forward_fused(&z, &biases, draws.times.clone(), &draws.masks)?;
        if self.network.gains().is_none() {
            return Ok((rows, f));
        }
        let gamma = table.index_select(&draws.times.tensor(x.device())?, 0)?.unsqueeze(1)?;
        Ok((rows, self.network.with_gain(f, &gamma)?))
    }

    /// Returns the nats of each row. It uses candle's own operations.
    fn chain_rows(&self, steps: &StepColumns, draws: &ChainDraws, reads: &RowReads) -> Result<RowNats> {
        let gaussian = steps.start.is_some() && reads.level_nats.is_none();
        let (step, decoder) = match self.variance {
            None => {
                let square = reads.error.sqr()?.sum_keepdim(1)?;
                let decoder = match gaussian {
                    true => {
                        let normalization = (log_variance(&steps.gamma)? * reads.error.dim(1)? as f64)?;
                        Some((normalization + &square)?.affine(0.5, 0.0)?)
                    }
                    false => None,
                };
                ((&steps.growth * square)?.affine(0.5, 0.0)?, decoder)
            }
            Some(variance) => {
                let rows = variance.rows(&draws.times)?.tensor(reads.error.device())?;
                let start = match &steps.start {
                    Some(start) if gaussian => start.clone(),
                    _ => steps.growth.zeros_like()?,
                };
                // ½ Σ [ρ + (1 + growth·e²)/exp(ρ) − 1] for a step, ½ Σ [ρ + e²/exp(ρ) + ln 2π + γ] for the decoder.
                let own = start.affine(-1.0, 1.0)?;
                let cost = GaussianCost {
                    weight: (&steps.growth + &start)?,
                    constant: ((&start * log_variance(&steps.gamma)?)? - &own)?,
                    own,
                };
                let nats = variance.nats(&rows, &reads.error, &cost)?;
                (nats.clone(), gaussian.then_some(nats))
            }
        };
        let Some(start) = &steps.start else {
            return Ok(RowNats { decoder: None, step });
        };
        let decoder = reads.level_nats.clone().or(decoder);
        Ok(RowNats {
            decoder: decoder.map(|nats| nats * start).transpose()?,
            step: (step * start.affine(-1.0, 1.0)?)?,
        })
    }

    fn mean_terms(&self, table: &Tensor, x: &Tensor, draws: &ChainDraws, nats: &RowNats) -> Result<Terms> {
        let decoder = match &nats.decoder {
            Some(nats) => Some((nats.mean_all()? / draws.start_fraction)?),
            None => None,
        };
        let diffusion = (nats.step.mean_all()? * self.chain_factor(draws))?;
        self.chain_terms(table, x, draws, decoder, diffusion)
    }

    /// Returns T over the fraction of the rows that are drawn for the steps.
    fn chain_factor(&self, draws: &ChainDraws) -> f64 {
        self.gamma.steps() as f64 / (1.0 - draws.start_fraction)
    }

    /// Returns the terms.
    ///
    /// * `decoder`: the reconstruction by the network decoder.
    fn chain_terms(
        &self,
        table: &Tensor,
        x: &Tensor,
        draws: &ChainDraws,
        decoder: Option<Tensor>,
        diffusion: Tensor,
    ) -> Result<Terms> {
        let reconstruction = self.reconstruction(table, x, draws, decoder)?;
        Ok(Terms {
            reconstruction,
            prior: prior(table, x)?,
            diffusion,
        })
    }

    /// Returns the reconstruction by the decoder of the model.
    ///
    /// * `network`: that by the network decoder, if the draws are for it.
    pub(super) fn reconstruction<T>(
        &self,
        table: &Tensor,
        x: &Tensor,
        draws: &super::Draws<T>,
        network: Option<Tensor>,
    ) -> Result<Tensor> {
        match (self.decoder, network, &draws.first_noise) {
            (DecoderKind::Network, Some(nats), _) => Ok(nats),
            (DecoderKind::Factorized, None, Some(noise)) => factorized_nats(table, self.levels, x, noise, draws.share),
            _ => candle_core::bail!("the draws are for another decoder than the model's"),
        }
    }
}

/// Returns `√sigmoid(x)`.
fn root_sigmoid(x: &Tensor) -> Result<Tensor> {
    candle_nn::ops::sigmoid(x)?.sqrt()
}

/// Constants of each row's step of the chain, `(n, 1)` each.
struct StepColumns {
    gamma: Tensor,
    /// `SNR_s/SNR_t − 1`; 0 at t = 0.
    growth: Tensor,
    /// 1 at t = 0, if the network decodes.
    start: Option<Tensor>,
}

impl StepColumns {
    fn new(table: &Tensor, draws: &ChainDraws, device: &Device) -> Result<Self> {
        let (t, s) = (draws.times.tensor(device)?, draws.times.less_one()?.tensor(device)?);
        let gamma = table.index_select(&t, 0)?.unsqueeze(1)?;
        let before = table.index_select(&s, 0)?.unsqueeze(1)?;
        Ok(Self {
            growth: ((&gamma - before)?.exp()? - 1.0)?,
            start: match draws.start_fraction {
                0.0 => None,
                _ => Some(start_rows(&draws.times, device)?),
            },
            gamma,
        })
    }
}
