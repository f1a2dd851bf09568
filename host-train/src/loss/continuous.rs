//! The ELBO with infinitely many steps (Kingma et al. 2021, section 4).
//!
//! `L = ½ ⟨γ'(u) SNR(γ) ‖x − x̂‖²⟩` over u uniform in [0, 1]: only the ends of γ change what it is, its course between them changes how
//! much one draw of u varies. So the network and the ends follow the gradient of L, and the course follows that of the variance of
//! the estimate (appendix I.2 there).

use super::{Terms, ends};
use crate::config::Prediction;
use crate::gamma::GammaTable;
use crate::network::Network;
use crate::rng::{Counter, Purpose, TrainRng};
use anyhow::{Context, Result};
use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor, Var};

/// Everything random in one evaluation.
pub struct Draws {
    /// One time per row, in [0, 1).
    pub times: Vec<f64>,
    /// `(n, D)`, the noise of z at that time.
    pub noise: Tensor,
    /// `(n, D)`, the noise of z_0.
    pub first_noise: Tensor,
    /// See [`super::Draws::masks`].
    pub masks: Vec<Tensor>,
}

impl Draws {
    /// Stratified times: one uniform number places all of them, 1/n apart.
    pub fn new(rows: usize, dim: usize, rng: &mut TrainRng, device: &Device) -> candle_core::Result<Self> {
        Ok(Self {
            times: rng.times(rows).collect(),
            noise: rng.normals(rows, dim, device)?,
            first_noise: rng.normals(rows, dim, device)?,
            masks: Vec::new(),
        })
    }

    /// The same from a counter, with dropout.
    pub fn counted(
        (rows, dim): (usize, usize),
        (p, hidden): (f64, &[usize]),
        counter: Counter,
        device: &Device,
    ) -> candle_core::Result<Self> {
        Ok(Self {
            times: counter.times(rows).collect(),
            noise: counter.matrix(Purpose::Noise, rows, dim, device)?,
            first_noise: counter.matrix(Purpose::FirstNoise, rows, dim, device)?,
            masks: super::counted_masks(rows, p, hidden, counter, device)?,
        })
    }

    /// See [`super::Draws::with_dropout`].
    pub fn with_dropout(
        mut self,
        p: f64,
        hidden: &[usize],
        rng: &mut TrainRng,
        device: &Device,
    ) -> candle_core::Result<Self> {
        self.masks = super::masks(self.times.len(), p, hidden, rng, device)?;
        Ok(self)
    }
}

/// The terms of a batch as numbers in nats per row, their gradients, and how much the diffusion term varies.
pub struct Step {
    /// Reconstruction, prior, diffusion.
    pub terms: [f32; 3],
    /// Of the network, the ends and the course of γ.
    pub gradients: GradStore,
    /// `⟨ℓ²⟩/⟨ℓ⟩²` of the diffusion term's estimate from one row: 1 if γ leaves nothing to chance but the data.
    pub spread: f64,
}

/// The loss of a batch and its gradients, each scaled by `unit`.
///
/// * `x`: `(n, D)` in model units;
/// * `levels`: of discretised data, or `None`.
pub fn step(
    network: &Network,
    gamma: &GammaTable,
    prediction: Prediction,
    levels: Option<u16>,
    x: &Tensor,
    draws: &Draws,
    unit: f64,
) -> Result<Step> {
    let table = gamma.values()?;
    let (gamma_u, slope) = along(&table, &draws.times)?;
    // The rest of the graph hangs on these two, so that one pass through the network gives each row's own gradient by γ and γ'.
    let (at, rise) = (Var::from_tensor(&gamma_u)?, Var::from_tensor(&slope)?);
    let variance = candle_nn::ops::sigmoid(&at)?;
    let signal = candle_nn::ops::sigmoid(&at.neg()?)?;
    let (alpha, sigma) = (signal.sqrt()?, variance.sqrt()?);
    let z = (x.broadcast_mul(&alpha)? + draws.noise.broadcast_mul(&sigma)?)?;
    let f = network.forward_masked(&z, &network.biases(&at)?, &draws.masks)?;
    let (target, weight) = match prediction {
        Prediction::V => {
            let v = (draws.noise.broadcast_mul(&alpha)? - x.broadcast_mul(&sigma)?)?;
            (v, signal)
        }
        Prediction::X => (x.clone(), (&signal / &variance)?),
    };
    let error = (f - target)?.sqr()?.sum_keepdim(1)?;
    let nats = ((rise.as_tensor() * weight)? * error)?.affine(0.5, 0.0)?;
    let (reconstruction, prior) = ends(&table, levels, x, &draws.first_noise)?;
    let terms = Terms {
        reconstruction,
        prior,
        diffusion: nats.mean_all()?,
    };
    let mut gradients = terms.total()?.affine(unit, 0.0)?.backward()?;

    let rows: Vec<f32> = nats.detach().flatten_all()?.to_vec1()?;
    let n = rows.len() as f64;
    let mean = rows.iter().map(|l| f64::from(*l)).sum::<f64>() / n;
    let spread = rows.iter().map(|l| f64::from(*l).powi(2)).sum::<f64>() / (n * mean * mean);
    let own = |leaf: &Var| -> Result<Tensor> {
        let gradient = gradients.get(leaf).context("gamma has no gradient")?;
        Ok(gradient.detach())
    };
    let (by_gamma, by_slope) = (own(&at)?, own(&rise)?);
    if gamma.learns() {
        // dL/dη = Σ_i (∂ℓ_i/∂γ_i · ∂γ_i/∂η + ∂ℓ_i/∂γ'_i · ∂γ'_i/∂η), and for ⟨ℓ²⟩ each row counts 2ℓ_i times.
        let twice = (nats.detach().affine(2.0 / (mean * mean * unit), 0.0))?;
        let through = |weight: Option<&Tensor>| -> Result<GradStore> {
            let weighted = |own: &Tensor| match weight {
                Some(w) => own * w,
                None => Ok(own.clone()),
            };
            let sum = ((weighted(&by_gamma)? * &gamma_u)? + (weighted(&by_slope)? * &slope)?)?;
            Ok(sum.sum_all()?.backward()?)
        };
        let of_ends = through(None)?;
        let of_course = through(Some(&twice))?;
        for end in gamma.ends() {
            let before = gradients.get(end).cloned();
            if let Some(more) = of_ends.get(end) {
                let sum = match before {
                    Some(before) => (before + more)?,
                    None => more.clone(),
                };
                gradients.insert(end, sum);
            }
        }
        if let Some(g) = of_course.get(gamma.course()) {
            gradients.insert(gamma.course(), g.clone());
        }
    }
    Ok(Step {
        terms: terms.values()?,
        gradients,
        spread,
    })
}

/// γ at each time and its rise by a unit of time, `(n, 1)` each: the table's points stand at equal distances in time, and between two of
/// them γ is linear.
fn along(table: &Tensor, times: &[f64]) -> candle_core::Result<(Tensor, Tensor)> {
    let steps = table.elem_count() - 1;
    let places = times.iter().map(|u| u * steps as f64);
    let before: Vec<u32> = places.clone().map(|p| (p as u32).min(steps as u32 - 1)).collect();
    let share: Vec<f32> = places.zip(&before).map(|(p, b)| (p - f64::from(*b)) as f32).collect();
    let n = times.len();
    let device = table.device();
    let after: Vec<u32> = before.iter().map(|b| b + 1).collect();
    let pick = |index: Vec<u32>| {
        table
            .index_select(&Tensor::from_vec(index, n, device)?, 0)?
            .unsqueeze(1)
    };
    let (low, high) = (pick(before)?, pick(after)?);
    let rise = (high - &low)?;
    let gamma = (low + (&rise * Tensor::from_vec(share, (n, 1), device)?)?)?;
    Ok((gamma, rise.affine(steps as f64, 0.0)?))
}
