//! The training loss: the full negative ELBO in discrete time, all three terms with their gradients.

use crate::config::Prediction;
use crate::gamma::GammaTable;
use crate::network::Network;
use crate::rng::TrainRng;
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
    /// One time per row, `1..=T`.
    pub t: Vec<u32>,
    /// `(n, D)`, the noise of z_t.
    pub noise: Tensor,
    /// `(n, D)`, the noise of z_0.
    pub first_noise: Tensor,
}

impl Draws {
    /// Times are stratified: one uniform number places all n of them, 1/n apart, so that every batch covers the whole
    /// chain evenly (Kingma et al. 2021, appendix I.1).
    pub fn new(rows: usize, dim: usize, steps: usize, rng: &mut TrainRng, device: &Device) -> Result<Self> {
        let offset = f64::from(rng.uniform());
        let t = (0..rows)
            .map(|i| 1 + (((offset + i as f64) / rows as f64 * steps as f64) as u32).min(steps as u32 - 1))
            .collect();
        Ok(Self {
            t,
            noise: rng.normals(rows, dim, device)?,
            first_noise: rng.normals(rows, dim, device)?,
        })
    }
}

/// ln(1 + eˣ) from operations that have gradients.
fn softplus(x: &Tensor) -> Result<Tensor> {
    x.relu()? + x.abs()?.neg()?.exp()?.affine(1.0, 1.0)?.log()?
}

/// The negative ELBO of a batch.
///
/// * `x`: `(n, D)` in model units;
/// * `levels`: of discretised data, or `None` for the Gaussian decoder (then in nats of model units).
pub fn elbo(
    network: &Network,
    gamma: &GammaTable,
    prediction: Prediction,
    levels: Option<u16>,
    x: &Tensor,
    draws: &Draws,
) -> Result<Terms> {
    let steps = gamma.steps();
    let dim = x.dim(1)? as f64;
    let table = gamma.values()?;

    // One step of the chain per row.
    let t = Tensor::from_slice(&draws.t, draws.t.len(), x.device())?;
    let s: Vec<u32> = draws.t.iter().map(|t| t - 1).collect();
    let s = Tensor::from_slice(&s, s.len(), x.device())?;
    let gamma_t = table.index_select(&t, 0)?.unsqueeze(1)?;
    let gamma_s = table.index_select(&s, 0)?.unsqueeze(1)?;
    let variance = candle_nn::ops::sigmoid(&gamma_t)?;
    let signal = candle_nn::ops::sigmoid(&gamma_t.neg()?)?;
    let (alpha, sigma) = (signal.sqrt()?, variance.sqrt()?);
    let z = (x.broadcast_mul(&alpha)? + draws.noise.broadcast_mul(&sigma)?)?;
    // The biases are computed once per entry of the table, not once per row.
    let biases = network
        .biases(&table.narrow(0, 1, steps)?.unsqueeze(1)?)?
        .index_select(&s, 0)?;
    let f = network.forward(&z, &biases)?;
    let growth = ((gamma_t - gamma_s)?.exp()? - 1.0)?;
    // ½ (SNR_s − SNR_t) ‖x − x̂‖², and for v: x − x̂ = σ (f − v), SNR σ² = α².
    let (target, weight) = match prediction {
        Prediction::V => {
            let v = (draws.noise.broadcast_mul(&alpha)? - x.broadcast_mul(&sigma)?)?;
            (v, (&growth * &signal)?)
        }
        Prediction::X => (x.clone(), (&growth * (&signal / &variance)?)?),
    };
    let error = (f - target)?.sqr()?.sum_keepdim(1)?;
    let diffusion = ((weight * error)?.mean_all()? * (0.5 * steps as f64))?;

    // The two ends.
    let last = table.narrow(0, steps, 1)?;
    let energy = x.sqr()?.sum(1)?.mean(0)?.affine(1.0, -dim)?.reshape(1)?;
    let prior = (candle_nn::ops::sigmoid(&last.neg()?)? * energy)? + (softplus(&last.neg()?)? * dim)?;
    let prior = (prior? * 0.5)?.reshape(())?;
    let first = table.narrow(0, 0, 1)?.unsqueeze(1)?;
    let reconstruction = match levels {
        Some(levels) => levels_nats(&first, levels, x, &draws.first_noise)?,
        // x − z_0/α_0 = −(σ_0/α_0) ε: the quadratic does not depend on γ_0, the normalisation does.
        None => {
            let quadratic = draws.first_noise.sqr()?.sum(1)?.mean(0)?;
            let normalisation = ((first.reshape(())? + (2.0 * std::f64::consts::PI).ln())? * dim)?;
            ((quadratic + normalisation)? * 0.5)?
        }
    };
    Ok(Terms {
        reconstruction,
        prior,
        diffusion,
    })
}

/// Rows whose reconstruction is computed: the term depends on γ_0 alone and hardly varies between rows.
const RECONSTRUCTED_ROWS: usize = 32;

/// `−ln p(x | z_0)` of the discretised decoder: a softmax over the levels of `−½ (z_0/α_0 − level)² SNR_0`, in which
/// `z_0/α_0 = x + (σ_0/α_0) ε`.
fn levels_nats(first: &Tensor, levels: u16, x: &Tensor, noise: &Tensor) -> Result<Tensor> {
    let rows = x.dim(0)?.min(RECONSTRUCTED_ROWS);
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
    (log_total - own)?.sum((1, 2))?.mean(0)
}
