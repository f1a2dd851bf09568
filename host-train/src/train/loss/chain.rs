//! The ELBO of the chain of T steps.

use super::draws::ChainDraws;
use super::ends::end_terms;
use super::objective::Objective;
use super::terms::Terms;
use crate::fused::{self, elbo::Rows};
use ancestral::schedule::Prediction;
use candle_core::{Device, Result, Tensor};

impl Objective<'_> {
    /// Returns the negative ELBO of a batch in discrete time.
    ///
    /// * `x`: `(n, D)` in model units.
    pub fn elbo(&self, x: &Tensor, draws: &ChainDraws) -> Result<Terms> {
        if !fused::serves(x.device()) {
            return self.elbo_plain(x, draws);
        }
        let steps = self.gamma.steps();
        let table = self.gamma.values()?;
        let rows = Rows::new(x, &draws.noise, draws.times.clone())?;
        // The biases are computed once per entry of the table, not once per row.
        let biases = self.network.biases(&table.narrow(0, 1, steps)?.unsqueeze(1)?)?;
        let s = draws.times.less_one()?;
        let f = self
            .network
            .forward_fused(&rows.state(&table)?, &biases, s, &draws.masks)?;
        let diffusion = match self.variance {
            None => rows.cost(&f, &table, self.prediction)?,
            Some(_) => (self.step_nats(&table, x, draws, &f)?.mean_all()? * steps as f64)?,
        };
        let (reconstruction, prior) = end_terms(&table, self.levels, x, &draws.first_noise, draws.share)?;
        Ok(Terms {
            reconstruction,
            prior,
            diffusion,
        })
    }

    /// Returns the same terms, computed by candle's own operations. Other devices use them, and they are the reference
    /// for the fused operations.
    pub fn elbo_plain(&self, x: &Tensor, draws: &ChainDraws) -> Result<Terms> {
        let table = self.gamma.values()?;
        let f = self.output_plain(&table, x, draws)?;
        let (reconstruction, prior) = end_terms(&table, self.levels, x, &draws.first_noise, draws.share)?;
        Ok(Terms {
            reconstruction,
            prior,
            diffusion: (self.step_nats(&table, x, draws, &f)?.mean_all()? * self.gamma.steps() as f64)?,
        })
    }

    /// Returns each row's own estimate of the diffusion term, `(n, 1)`.
    pub fn row_nats(&self, x: &Tensor, draws: &ChainDraws) -> Result<Tensor> {
        let table = self.gamma.values()?;
        let f = self.output_plain(&table, x, draws)?;
        self.step_nats(&table, x, draws, &f)? * self.gamma.steps() as f64
    }

    /// Returns the network's output at each row's step, computed by candle's own operations.
    fn output_plain(&self, table: &Tensor, x: &Tensor, draws: &ChainDraws) -> Result<Tensor> {
        let steps = StepColumns::new(table, draws, x.device())?;
        let z = (x.broadcast_mul(&steps.alpha)? + draws.noise.broadcast_mul(&steps.sigma)?)?;
        let gamma = table.narrow(0, 1, table.elem_count() - 1)?.unsqueeze(1)?;
        let biases = self.network.biases(&gamma)?.index_select(&steps.s, 0)?;
        self.network.forward_plain(&z, &biases, &draws.masks)
    }

    /// Returns the cost of each row's step in nats for the network's output `f`, `(n, 1)`. It uses candle's own
    /// operations.
    fn step_nats(&self, table: &Tensor, x: &Tensor, draws: &ChainDraws, f: &Tensor) -> Result<Tensor> {
        let steps = StepColumns::new(table, draws, x.device())?;
        // ½ (SNR_s − SNR_t) ‖x − x̂‖², and for v: x − x̂ = σ (f − v), SNR σ² = α².
        let (target, weight) = match self.prediction {
            Prediction::V => {
                let v = (draws.noise.broadcast_mul(&steps.alpha)? - x.broadcast_mul(&steps.sigma)?)?;
                (v, (&steps.growth * &steps.signal)?)
            }
            Prediction::Odds { .. } => candle_core::bail!("odds have no loss yet"),
            Prediction::X => (x.clone(), (&steps.growth * (&steps.signal / &steps.variance)?)?),
        };
        let error = (f - target)?;
        match self.variance {
            None => (weight * error.sqr()?.sum_keepdim(1)?)?.affine(0.5, 0.0),
            Some(variance) => variance.nats(&steps.s, &error, &weight),
        }
    }
}

/// Constants of each row's step of the chain, `(n, 1)` each. Only `s`, the row's entry of a table, is `(n)`.
struct StepColumns {
    s: Tensor,
    signal: Tensor,
    variance: Tensor,
    alpha: Tensor,
    sigma: Tensor,
    growth: Tensor,
}

impl StepColumns {
    fn new(table: &Tensor, draws: &ChainDraws, device: &Device) -> Result<Self> {
        let (t, s) = (draws.times.tensor(device)?, draws.times.less_one()?.tensor(device)?);
        let gamma_t = table.index_select(&t, 0)?.unsqueeze(1)?;
        let gamma_s = table.index_select(&s, 0)?.unsqueeze(1)?;
        let variance = candle_nn::ops::sigmoid(&gamma_t)?;
        let signal = candle_nn::ops::sigmoid(&gamma_t.neg()?)?;
        Ok(Self {
            s,
            alpha: signal.sqrt()?,
            sigma: variance.sqrt()?,
            signal,
            variance,
            growth: ((gamma_t - gamma_s)?.exp()? - 1.0)?,
        })
    }
}
