//! The training loss: the full negative ELBO, all three terms with their gradients; here in discrete time, in [`continuous`] with
//! infinitely many steps.

pub mod continuous;

use crate::fused::index::Index;
use crate::fused::{self, elbo::Rows};
use crate::model::gamma::GammaTable;
use crate::model::network::Network;
use crate::model::variance::VarianceTable;
use crate::rng::Share;
use crate::rng::{Counter, Purpose, TrainRng};
use ancestral::schedule::Prediction;
use candle_core::{Device, Result, Tensor};

/// The terms of a batch, in nats per row, as scalars in the graph.
pub struct Terms {
    /// `−ln p(x | z_0)`.
    pub reconstruction: Tensor,
    /// `D_KL(q(z_T | x) ‖ N(0, I))`.
    pub prior: Tensor,
    /// T times the mean cost of the steps drawn.
    pub diffusion: Tensor,
}

impl Terms {
    /// What is minimised.
    pub fn total(&self) -> Result<Tensor> {
        (&self.reconstruction + &self.prior)? + &self.diffusion
    }

    /// Reconstruction, prior and diffusion as numbers.
    pub fn values(&self) -> Result<[f32; 3]> {
        Ok([
            self.reconstruction.to_scalar()?,
            self.prior.to_scalar()?,
            self.diffusion.to_scalar()?,
        ])
    }
}

/// Everything random in one evaluation of the loss.
pub struct Draws {
    /// Which rows of the batch these are.
    pub share: Share,
    /// One time per row, `1..=T`.
    pub t: Index,
    /// `(n, D)`, the noise of z_t.
    pub noise: Tensor,
    /// `(n, D)`, the noise of z_0.
    pub first_noise: Tensor,
    /// Of each hidden layer, `(n, rows)`: 0 for what is dropped, 1/(1 − p) for the rest; none without dropout.
    pub masks: Vec<Tensor>,
}

impl Draws {
    /// Times are stratified: one uniform number places all n of them, 1/n apart, so that every batch covers the whole
    /// chain evenly (Kingma et al. 2021, appendix I.1).
    pub fn new(rows: impl Into<Share>, dim: usize, steps: usize, rng: &mut TrainRng, device: &Device) -> Result<Self> {
        let share = rows.into();
        Ok(Self {
            share,
            t: self::steps(rng.times(share), steps).into(),
            noise: rng.normals(share, dim, device)?,
            first_noise: rng.normals(share, dim, device)?,
            masks: Vec::new(),
        })
    }

    /// The same from a counter, with dropout.
    pub fn counted(
        (rows, dim): (impl Into<Share>, usize),
        steps: usize,
        (p, hidden): (f64, &[usize]),
        counter: Counter,
        device: &Device,
    ) -> Result<Self> {
        let share = rows.into();
        Ok(Self {
            share,
            t: self::steps(counter.times(share), steps).into(),
            noise: counter.matrix(Purpose::Noise, share, dim, device)?,
            first_noise: counter.matrix(Purpose::FirstNoise, share, dim, device)?,
            masks: counted_masks(share, p, hidden, counter, device)?,
        })
    }

    /// Drops each hidden unit with probability `p` (Srivastava et al. 2014). Draws nothing where p is 0.
    pub fn with_dropout(mut self, p: f64, hidden: &[usize], rng: &mut TrainRng, device: &Device) -> Result<Self> {
        self.masks = masks(self.share, p, hidden, rng, device)?;
        Ok(self)
    }
}

/// The steps, `1..=steps`, that times in [0, 1) fall into.
pub fn steps(times: impl Iterator<Item = f64>, steps: usize) -> Vec<u32> {
    let step = |time: f64| 1 + ((time * steps as f64) as u32).min(steps as u32 - 1);
    times.map(step).collect()
}

/// Of uniform numbers in [0, 1), 0 for those below `p`, 1/(1 − p) for the rest.
pub fn mask(uniforms: impl Iterator<Item = f32>, p: f64) -> Vec<f32> {
    let keep = (1.0 / (1.0 - p)) as f32;
    uniforms.map(|u| if f64::from(u) < p { 0.0 } else { keep }).collect()
}

/// For the rows of a share and each hidden layer, see [`Draws::masks`].
fn masks(share: Share, p: f64, hidden: &[usize], rng: &mut TrainRng, device: &Device) -> Result<Vec<Tensor>> {
    if p <= 0.0 {
        return Ok(Vec::new());
    }
    let own = |&width: &usize| {
        let values = mask(rng.for_rows(share, width, TrainRng::uniform).into_iter(), p);
        Tensor::from_vec(values, (share.rows, width), device)
    };
    hidden.iter().map(own).collect()
}

/// The same from a counter.
fn counted_masks(share: Share, p: f64, hidden: &[usize], counter: Counter, device: &Device) -> Result<Vec<Tensor>> {
    if p <= 0.0 {
        return Ok(Vec::new());
    }
    let own = |(layer, &width): (usize, &usize)| {
        let values = mask(counter.uniforms(Purpose::Mask(layer as u32), share, width), p);
        Tensor::from_vec(values, (share.rows, width), device)
    };
    hidden.iter().enumerate().map(own).collect()
}

/// ln(1 + eˣ) from operations that have gradients.
fn softplus(x: &Tensor) -> Result<Tensor> {
    x.relu()? + x.abs()?.neg()?.exp()?.affine(1.0, 1.0)?.log()?
}

/// The negative ELBO of a batch.
///
/// * `variances`: the reverse variances, where they are not the posterior's own;
/// * `x`: `(n, D)` in model units;
/// * `levels`: of discretised data, or `None` for the Gaussian decoder (then in nats of model units).
pub fn elbo(
    network: &Network,
    gamma: &GammaTable,
    variances: Option<&VarianceTable>,
    prediction: Prediction,
    levels: Option<u16>,
    x: &Tensor,
    draws: &Draws,
) -> Result<Terms> {
    if !fused::serves(x.device()) {
        return elbo_plain(network, gamma, variances, prediction, levels, x, draws);
    }
    let steps = gamma.steps();
    let table = gamma.values()?;
    let rows = Rows::new(x, &draws.noise, draws.t.clone())?;
    // The biases are computed once per entry of the table, not once per row.
    let biases = network.biases(&table.narrow(0, 1, steps)?.unsqueeze(1)?)?;
    let s = draws.t.less_one()?;
    let f = network.forward_fused(&rows.state(&table)?, &biases, s, &draws.masks)?;
    let diffusion = match variances {
        None => rows.cost(&f, &table, prediction)?,
        Some(_) => (costs(&table, variances, prediction, x, draws, &f)?.mean_all()? * steps as f64)?,
    };
    let (reconstruction, prior) = ends(&table, levels, x, &draws.first_noise, draws.share)?;
    Ok(Terms {
        reconstruction,
        prior,
        diffusion,
    })
}

/// [`elbo`] from candle's own operations: what the fused ones are tested against, and what other devices run.
pub fn elbo_plain(
    network: &Network,
    gamma: &GammaTable,
    variances: Option<&VarianceTable>,
    prediction: Prediction,
    levels: Option<u16>,
    x: &Tensor,
    draws: &Draws,
) -> Result<Terms> {
    let table = gamma.values()?;
    let f = output_plain(network, &table, x, draws)?;
    let (reconstruction, prior) = ends(&table, levels, x, &draws.first_noise, draws.share)?;
    Ok(Terms {
        reconstruction,
        prior,
        diffusion: (costs(&table, variances, prediction, x, draws, &f)?.mean_all()? * gamma.steps() as f64)?,
    })
}

/// The diffusion term as each row by itself estimates it, `(n, 1)`, with the posterior's own variance.
pub fn nats(
    network: &Network,
    gamma: &GammaTable,
    prediction: Prediction,
    x: &Tensor,
    draws: &Draws,
) -> Result<Tensor> {
    let table = gamma.values()?;
    let f = output_plain(network, &table, x, draws)?;
    costs(&table, None, prediction, x, draws, &f)? * gamma.steps() as f64
}

/// The network's output at each row's step, from candle's own operations.
fn output_plain(network: &Network, table: &Tensor, x: &Tensor, draws: &Draws) -> Result<Tensor> {
    let at = Step::new(table, draws, x.device())?;
    let z = (x.broadcast_mul(&at.alpha)? + draws.noise.broadcast_mul(&at.sigma)?)?;
    let gamma = table.narrow(0, 1, table.elem_count() - 1)?.unsqueeze(1)?;
    let biases = network.biases(&gamma)?.index_select(&at.s, 0)?;
    network.forward_plain(&z, &biases, &draws.masks)
}

/// One step of the chain per row, `(n, 1)` each but `s`, the row of a table that it is in.
struct Step {
    s: Tensor,
    signal: Tensor,
    variance: Tensor,
    alpha: Tensor,
    sigma: Tensor,
    growth: Tensor,
}

impl Step {
    fn new(table: &Tensor, draws: &Draws, device: &Device) -> Result<Self> {
        let (t, s) = (draws.t.tensor(device)?, draws.t.less_one()?.tensor(device)?);
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

/// What the step drawn costs each row, in nats, for the network's output `f`, from candle's own operations; `(n, 1)`.
fn costs(
    table: &Tensor,
    variances: Option<&VarianceTable>,
    prediction: Prediction,
    x: &Tensor,
    draws: &Draws,
    f: &Tensor,
) -> Result<Tensor> {
    let at = Step::new(table, draws, x.device())?;
    // ½ (SNR_s − SNR_t) ‖x − x̂‖², and for v: x − x̂ = σ (f − v), SNR σ² = α².
    let (target, weight) = match prediction {
        Prediction::V => {
            let v = (draws.noise.broadcast_mul(&at.alpha)? - x.broadcast_mul(&at.sigma)?)?;
            (v, (&at.growth * &at.signal)?)
        }
        Prediction::X => (x.clone(), (&at.growth * (&at.signal / &at.variance)?)?),
    };
    let error = (f - target)?;
    match variances {
        None => (weight * error.sqr()?.sum_keepdim(1)?)?.affine(0.5, 0.0),
        Some(variances) => variances.nats(&at.s, &error, &weight),
    }
}

/// Reconstruction and prior of a batch, in nats per row.
///
/// * `table`: γ, of which the first and the last count;
/// * `noise`: of z_0, `(n, D)`;
/// * `share`: which rows of the batch these are.
fn ends(table: &Tensor, levels: Option<u16>, x: &Tensor, noise: &Tensor, share: Share) -> Result<(Tensor, Tensor)> {
    let dim = x.dim(1)? as f64;
    let steps = table.elem_count() - 1;
    let last = table.narrow(0, steps, 1)?;
    let energy = x.sqr()?.sum(1)?.mean(0)?.affine(1.0, -dim)?.reshape(1)?;
    let prior = (candle_nn::ops::sigmoid(&last.neg()?)? * energy)? + (softplus(&last.neg()?)? * dim)?;
    let prior = (prior? * 0.5)?.reshape(())?;
    let first = table.narrow(0, 0, 1)?.unsqueeze(1)?;
    let reconstruction = match levels {
        Some(levels) => levels_nats(&first, levels, x, noise, share)?,
        // x − z_0/α_0 = −(σ_0/α_0) ε: the quadratic does not depend on γ_0, the normalisation does.
        None => {
            let quadratic = noise.sqr()?.sum(1)?.mean(0)?;
            let normalisation = ((first.reshape(())? + (2.0 * std::f64::consts::PI).ln())? * dim)?;
            ((quadratic + normalisation)? * 0.5)?
        }
    };
    Ok((reconstruction, prior))
}

/// Rows of a batch whose reconstruction is computed: the term depends on γ_0 alone and hardly varies between rows.
const RECONSTRUCTED_ROWS: usize = 32;

/// `−ln p(x | z_0)` of the discretised decoder: a softmax over the levels of `−½ (z_0/α_0 − level)² SNR_0`, in which
/// `z_0/α_0 = x + (σ_0/α_0) ε`. Of a share, such that the shares' means make the batch's.
fn levels_nats(first: &Tensor, levels: u16, x: &Tensor, noise: &Tensor, share: Share) -> Result<Tensor> {
    let rows = share.among_first(RECONSTRUCTED_ROWS);
    if rows == 0 {
        return Tensor::zeros((), x.dtype(), x.device());
    }
    let part = rows as f64 / share.of.min(RECONSTRUCTED_ROWS) as f64;
    let (x, noise) = (
        x.narrow(0, 0, rows)?.unsqueeze(2)?,
        noise.narrow(0, 0, rows)?.unsqueeze(2)?,
    );
    let grid: Vec<f32> = (0..levels)
        .map(|k| -1.0 + 2.0 * f32::from(k) / f32::from(levels - 1))
        .collect();
    let grid = Tensor::from_vec(grid, (1, 1, usize::from(levels)), x.device())?;
    let precision = (first.unsqueeze(2)? * -0.5)?.exp()?; // α_0/σ_0
    let exponent = |value: &Tensor| -> Result<Tensor> {
        x.broadcast_sub(value)?
            .broadcast_mul(&precision)?
            .broadcast_add(&noise)?
            .sqr()?
            * -0.5
    };
    let all = exponent(&grid)?;
    let top = all.max_keepdim(2)?.detach();
    let log_total = (all.broadcast_sub(&top)?.exp()?.sum_keepdim(2)?.log()? + top)?;
    let own = exponent(&x)?;
    (log_total - own)?.sum((1, 2))?.mean(0)? * (part / share.fraction())
}
