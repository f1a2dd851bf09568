//! The ELBO with infinitely many steps (Kingma et al. 2021, section 4).
//!
//! `L = ½ ⟨γ'(u) SNR(γ) ‖x − x̂‖²⟩` over u uniform in [0, 1]: only the ends of γ change what it is, its course between them changes how
//! much one draw of u varies. So the network and the ends follow the gradient of L, and the course follows that of the variance of
//! the estimate (appendix I.2 there).

use super::{Terms, ends};
use crate::model::gamma::GammaTable;
use crate::model::network::Network;
use crate::rng::Share;
use crate::rng::{Counter, Purpose, TrainRng};
use ancestral::schedule::Prediction;
use anyhow::{Context, Result};
use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor, Var};

/// Everything random in one evaluation.
pub struct Draws {
    /// Which rows of the batch these are.
    pub share: Share,
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
    pub fn new(rows: impl Into<Share>, dim: usize, rng: &mut TrainRng, device: &Device) -> candle_core::Result<Self> {
        let share = rows.into();
        Ok(Self {
            share,
            times: rng.times(share).collect(),
            noise: rng.normals(share, dim, device)?,
            first_noise: rng.normals(share, dim, device)?,
            masks: Vec::new(),
        })
    }

    /// The same from a counter, with dropout.
    pub fn counted(
        (rows, dim): (impl Into<Share>, usize),
        (p, hidden): (f64, &[usize]),
        counter: Counter,
        device: &Device,
    ) -> candle_core::Result<Self> {
        let share = rows.into();
        Ok(Self {
            share,
            times: counter.times(share).collect(),
            noise: counter.matrix(Purpose::Noise, share, dim, device)?,
            first_noise: counter.matrix(Purpose::FirstNoise, share, dim, device)?,
            masks: super::counted_masks(share, p, hidden, counter, device)?,
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
        self.masks = super::masks(self.share, p, hidden, rng, device)?;
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
    let (gamma_u, slope) = gamma.at(&draws.times)?;
    // The rest of the graph hangs on these two, so that one pass through the network gives each row's own gradient by γ and γ'.
    let (at, rise) = (Var::from_tensor(&gamma_u)?, Var::from_tensor(&slope)?);
    let nats = nats(network, prediction, x, draws, &at, &rise)?;
    let (reconstruction, prior) = ends(&gamma.values()?, levels, x, &draws.first_noise, draws.share)?;
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
        for part in gamma.course() {
            if let Some(g) = of_course.get(part) {
                gradients.insert(part, g.clone());
            }
        }
    }
    Ok(Step {
        terms: terms.values()?,
        gradients,
        spread,
    })
}

/// The diffusion term as each row by itself estimates it, `(n, 1)`.
///
/// * `at`, `rise`: γ and γ' at the row's time, `(n, 1)` each.
pub fn nats(
    network: &Network,
    prediction: Prediction,
    x: &Tensor,
    draws: &Draws,
    at: &Tensor,
    rise: &Tensor,
) -> candle_core::Result<Tensor> {
    let variance = candle_nn::ops::sigmoid(at)?;
    let signal = candle_nn::ops::sigmoid(&at.neg()?)?;
    let (alpha, sigma) = (signal.sqrt()?, variance.sqrt()?);
    let z = (x.broadcast_mul(&alpha)? + draws.noise.broadcast_mul(&sigma)?)?;
    let f = network.forward_masked(&z, &network.biases(at)?, &draws.masks)?;
    let (target, weight) = match prediction {
        Prediction::V => {
            let v = (draws.noise.broadcast_mul(&alpha)? - x.broadcast_mul(&sigma)?)?;
            (v, signal)
        }
        Prediction::X => (x.clone(), (&signal / &variance)?),
    };
    let error = (f - target)?.sqr()?.sum_keepdim(1)?;
    ((rise * weight)? * error)?.affine(0.5, 0.0)
}
