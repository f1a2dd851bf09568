//! The ELBO with infinitely many steps (Kingma et al. 2021, section 4).
//!
//! `L = ½ ⟨γ'(u) SNR(γ) ‖x − x̂‖²⟩` over u uniform in [0, 1]. Its value depends only on the ends of γ. The
//! curve between them decides how much the estimate from one draw of u varies. So the network and the ends follow the
//! gradient of L, and the curve follows the gradient of the estimate's variance (appendix I.2 there).

use super::draws::TimeDraws;
use super::ends::prior;
use super::objective::Objective;
use super::row_nats::{RowNats, log_variance, start_rows};
use super::terms::Terms;
use crate::fused::{self, elbo::Rows, index::Index};
use crate::model::gamma::GammaTable;
use anyhow::{Context, Result};
use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};

/// The ELBO of a batch in continuous time, with its gradients.
pub struct LimitElbo {
    /// Reconstruction, prior and diffusion in nats per row.
    pub terms: [f32; 3],
    /// Gradients of the network, the ends of γ and its curve.
    pub gradients: GradStore,
    /// `⟨ℓ²⟩/⟨ℓ⟩²` of one row's estimate of the diffusion term: 1 if only the data makes it vary.
    pub spread: f64,
}

impl Objective<'_> {
    /// Returns the negative ELBO of a batch in continuous time and its gradients, each scaled by `unit`.
    ///
    /// * `x`: `(n, D)` in model units.
    pub fn limit_elbo(&self, x: &Tensor, draws: &TimeDraws, unit: f64) -> Result<LimitElbo> {
        let gamma = self.gamma;
        let (gamma_u, slope) = gamma.interpolate(&draws.split_times().0)?;
        // The rest of the graph depends on these two leaves. So one pass through the network gives each row's own
        // gradient by γ and γ'. The rows of the network decoder are at γ_0.
        let leaves = (Var::from_tensor(&gamma_u)?, Var::from_tensor(&slope)?);
        let nats = self.limit_rows(x, draws, &leaves.0, &leaves.1)?;
        let decoder = match &nats.decoder {
            Some(nats) => Some((nats.mean_all()? / draws.start_fraction)?),
            None => None,
        };
        let table = gamma.values()?;
        let fraction = 1.0 - draws.start_fraction;
        let terms = Terms {
            reconstruction: self.reconstruction(&table, x, draws, decoder)?,
            prior: prior(&table, x)?,
            diffusion: (nats.step.mean_all()? / fraction)?,
        };
        let mut gradients = terms.total()?.affine(unit, 0.0)?.backward()?;

        let values: Vec<f32> = nats.step.detach().flatten_all()?.to_vec1()?;
        let n = values.len() as f64 * fraction;
        let mean = values.iter().map(|l| f64::from(*l)).sum::<f64>() / n;
        // A rank may have no row but those of the decoder, and then adds nothing.
        let inverse = if mean > 0.0 { 1.0 / mean } else { 0.0 };
        let spread = values.iter().map(|l| (inverse * f64::from(*l)).powi(2)).sum::<f64>() / n;
        let rows = RowGradients {
            by_gamma: leaf_gradient(&gradients, &leaves.0)?,
            by_slope: leaf_gradient(&gradients, &leaves.1)?,
            gamma: gamma_u,
            slope,
        };
        if gamma.learns() {
            // dL/dη = Σ_i (∂ℓ_i/∂γ_i · ∂γ_i/∂η + ∂ℓ_i/∂γ'_i · ∂γ'_i/∂η), and for ⟨ℓ²⟩ each row counts 2ℓ_i times.
            // One division after the other, because the square of a small mean leaves the range of f32.
            let share = nats.step.detach().affine(inverse, 0.0)?;
            let twice = share.affine(2.0 * inverse / unit, 0.0)?;
            add_gamma_gradients(gamma, &rows, &twice, &mut gradients)?;
        }
        Ok(LimitElbo {
            terms: terms.values()?,
            gradients,
            spread,
        })
    }

    /// Returns each row's own estimate of the diffusion term in continuous time, `(n, 1)`: their mean is the term.
    ///
    /// * `gamma`, `slope`: γ and γ' at the row's time, `(n, 1)` each.
    pub fn limit_row_nats(
        &self,
        x: &Tensor,
        draws: &TimeDraws,
        gamma: &Tensor,
        slope: &Tensor,
    ) -> candle_core::Result<Tensor> {
        self.limit_rows(x, draws, gamma, slope)?.step / (1.0 - draws.start_fraction)
    }

    /// Returns the nats of each row.
    fn limit_rows(
        &self,
        x: &Tensor,
        draws: &TimeDraws,
        gamma: &Tensor,
        slope: &Tensor,
    ) -> candle_core::Result<RowNats> {
        let sigma = candle_nn::ops::sigmoid(gamma)?.sqrt()?;
        let alpha = candle_nn::ops::sigmoid(&gamma.neg()?)?.sqrt()?;
        let z = (x.broadcast_mul(&alpha)? + draws.noise.broadcast_mul(&sigma)?)?;
        let f = self
            .network
            .forward_masked(&z, &self.network.biases(gamma)?, &draws.masks)?;
        let f = self.network.with_gain(f, gamma)?;
        let t = Index::Host(draws.split_times().1);
        let reads = match fused::serves(x.device()) {
            true => self.read_fused(&Rows::new(x, &draws.noise, t.clone())?, &f, gamma)?,
            false => self.read_plain(x, &z, &f, gamma)?,
        };
        let square = reads.error.sqr()?.sum_keepdim(1)?;
        let step = (slope * &square)?.affine(0.5, 0.0)?;
        if draws.start_fraction == 0.0 {
            return Ok(RowNats { decoder: None, step });
        }
        let start = start_rows(&t, x.device())?;
        let decoder = match reads.level_nats {
            Some(nats) => nats,
            None => ((log_variance(gamma)? * x.dim(1)? as f64)? + square)?.affine(0.5, 0.0)?,
        };
        Ok(RowNats {
            decoder: Some((decoder * &start)?),
            step: (step * start.affine(-1.0, 1.0)?)?,
        })
    }
}

/// γ and γ' of each row, and each row's gradients by them.
struct RowGradients {
    gamma: Tensor,
    slope: Tensor,
    by_gamma: Tensor,
    by_slope: Tensor,
}

impl RowGradients {
    /// Carries the rows' gradients on to the parameters of γ, each row multiplied by its weight.
    fn backward(&self, weight: Option<&Tensor>) -> Result<GradStore> {
        let weighted = |gradient: &Tensor| match weight {
            Some(weight) => gradient * weight,
            None => Ok(gradient.clone()),
        };
        let sum = ((weighted(&self.by_gamma)? * &self.gamma)? + (weighted(&self.by_slope)? * &self.slope)?)?;
        Ok(sum.sum_all()?.backward()?)
    }
}

fn leaf_gradient(gradients: &GradStore, leaf: &Var) -> Result<Tensor> {
    let gradient = gradients.get(leaf).context("gamma has no gradient")?;
    Ok(gradient.detach())
}

/// Adds the gradients of the parameters of γ: those of the ELBO for its ends, those of the spread for its curve.
fn add_gamma_gradients(
    gamma: &GammaTable,
    rows: &RowGradients,
    twice: &Tensor,
    gradients: &mut GradStore,
) -> Result<()> {
    let by_elbo = rows.backward(None)?;
    let by_spread = rows.backward(Some(twice))?;
    for end in gamma.end_parameters() {
        let before = gradients.get(end).cloned();
        if let Some(more) = by_elbo.get(end) {
            let sum = match before {
                Some(before) => (before + more)?,
                None => more.clone(),
            };
            gradients.insert(end, sum);
        }
    }
    for part in gamma.curve_parameters() {
        if let Some(gradient) = by_spread.get(part) {
            gradients.insert(part, gradient.clone());
        }
    }
    Ok(())
}
