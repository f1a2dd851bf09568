//! The learned reverse variance: one number per step and direction.

use super::parameter::Parameter;
use crate::fused::index::Index;
use ancestral::fixed::CONSTANT_ONE;
use ancestral::model::VarianceSpec;
use anyhow::{Result, ensure};
use candle_core::{DType, Device, Tensor, Var};
use serde::{Deserialize, Serialize};

/// Largest standard deviation of a step in a direction that a constant in Q1.14 holds.
pub const LARGEST_DEVIATION: f64 = i16::MAX as f64 / CONSTANT_ONE as f64;

/// Kind of reverse variance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VarianceKind {
    /// The variance of the posterior.
    #[default]
    Posterior,
    /// A variance per step and dimension that accounts for the error of x̂.
    Calibrated,
    /// The same per step and direction, in the basis of the errors.
    Rotated,
}

/// All kinds of reverse variance.
pub const VARIANCES: [VarianceKind; 3] = [VarianceKind::Posterior, VarianceKind::Calibrated, VarianceKind::Rotated];

impl VarianceKind {
    /// Returns the name for tables and charts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Posterior => "posterior",
            Self::Calibrated => "calibrated",
            Self::Rotated => "rotated",
        }
    }
}

/// Reverse variances `v_td = σ_s² c · exp(ρ_td)`: ρ is the logarithm of their ratio to the posterior's variance, per
/// step and direction of a basis.
///
/// A network decoder of continuous data has variances `exp(ρ_0d)/SNR_0` in the same basis. They are the first row of
/// the table, before those of the steps.
#[derive(Clone, Debug)]
pub struct VarianceTable {
    log_ratios: Var,
    decoder: bool,
    basis: Var,
    rotated: bool,
}

impl VarianceTable {
    /// The variances of the posterior, `steps × dim`, in the directions of the identity.
    ///
    /// * `rotated`: the basis will be replaced by another;
    /// * `decoder`: the network decoder has a row too, with the variance 1/SNR_0.
    pub fn new(steps: usize, dim: usize, rotated: bool, decoder: bool, device: &Device) -> Result<Self> {
        // Without a rotation there is no basis to keep.
        let side = if rotated { dim } else { 0 };
        let identity: Vec<f32> = (0..side * side)
            .map(|i| if i % (side + 1) == 0 { 1.0 } else { 0.0 })
            .collect();
        Ok(Self {
            log_ratios: Var::zeros((steps + usize::from(decoder), dim), DType::F32, device)?,
            decoder,
            basis: Var::from_tensor(&Tensor::from_vec(identity, (side, side), device)?)?,
            rotated,
        })
    }

    /// Replaces the variances of the steps, given as ratios to the posterior's, and their basis. The decoder's stay.
    pub fn set(&self, variance: &VarianceSpec) -> Result<()> {
        let (rows, dim) = self.log_ratios.dims2()?;
        let first = usize::from(self.decoder);
        let steps = rows - first;
        ensure!(
            variance.ratios.len() == steps * dim && variance.basis.is_empty() != self.rotated,
            "the variances do not fit {steps} steps in {dim} directions"
        );
        let device = self.log_ratios.device();
        let ratios: Vec<f32> = variance.ratios.iter().map(|r| r.ln() as f32).collect();
        let ratios = Tensor::from_vec(ratios, (steps, dim), device)?;
        let decoder = self.log_ratios.narrow(0, 0, first)?;
        self.log_ratios.set(&Tensor::cat(&[&decoder, &ratios], 0)?)?;
        if self.rotated {
            let basis: Vec<f32> = variance.basis.iter().map(|&u| u as f32).collect();
            self.basis.set(&Tensor::from_vec(basis, (dim, dim), device)?)?;
        }
        Ok(())
    }

    /// Returns the variances of the steps for a model file.
    pub fn spec(&self) -> Result<VarianceSpec> {
        let ratios = self.ratios()?;
        let dim = self.log_ratios.dim(1)?;
        Ok(VarianceSpec {
            ratios: ratios.into_iter().skip(if self.decoder { dim } else { 0 }).collect(),
            basis: widen(self.basis.flatten_all()?.to_vec1()?),
        })
    }

    /// Returns the variances of the network decoder as multiples of 1/SNR_0, if they are learned.
    pub fn decoder_ratios(&self) -> Result<Option<Vec<f64>>> {
        let dim = self.log_ratios.dim(1)?;
        let ratios = self.ratios()?;
        Ok(self.decoder.then(|| ratios.into_iter().take(dim).collect()))
    }

    /// Replaces the variances of the network decoder, given as multiples of 1/SNR_0.
    pub fn set_decoder(&self, ratios: &[f64]) -> Result<()> {
        let (rows, dim) = self.log_ratios.dims2()?;
        ensure!(
            self.decoder && ratios.len() == dim,
            "the variances of the network decoder do not fit: one is learned per direction, for continuous data alone"
        );
        let own: Vec<f32> = ratios.iter().map(|r| r.ln() as f32).collect();
        let own = Tensor::from_vec(own, (1, dim), self.log_ratios.device())?;
        let steps = self.log_ratios.narrow(0, 1, rows - 1)?;
        Ok(self.log_ratios.set(&Tensor::cat(&[&own, &steps], 0)?)?)
    }

    /// Returns the row of the table for a step: the decoder's is that of t = 0.
    ///
    /// * `t`: steps, `(n)` of `u32`. Without variances of its own, t = 0 gets those of the first step.
    pub fn rows(&self, t: &Index) -> candle_core::Result<Index> {
        if self.decoder { Ok(t.clone()) } else { t.less_one() }
    }

    fn ratios(&self) -> Result<Vec<f64>> {
        let logs = widen(self.log_ratios.flatten_all()?.to_vec1()?);
        Ok(logs.into_iter().map(f64::exp).collect())
    }

    /// Returns the parameters in a fixed order. The basis is among them but not learned: no gradient of the ELBO would
    /// keep it orthogonal.
    pub fn parameters(&self) -> Vec<Parameter> {
        let parameter = |name: &str, var: &Var| Parameter {
            name: name.to_owned(),
            var: var.clone(),
            decays: false,
        };
        let mut list = vec![parameter("variance.log_ratios", &self.log_ratios)];
        if self.rotated {
            list.push(parameter("variance.basis", &self.basis));
        }
        list
    }

    /// Returns the cost of steps in nats, `(n, 1)`: `½ Σ_d [ρ_d + (own + weight·e_d²)/exp(ρ_d) + constant]`. It is
    /// smallest at `ρ_d = ln(own + weight ⟨e_d²⟩)`.
    ///
    /// * `rows`: the row of the table for each row of the batch, `(n)`;
    /// * `error`: x̂ − x in any unit, `(n, D)`;
    /// * `cost`: of each row.
    pub fn nats(&self, rows: &Tensor, error: &Tensor, cost: &GaussianCost) -> candle_core::Result<Tensor> {
        let rho = self.log_ratios.index_select(rows, 0)?;
        let along = if self.rotated {
            error.matmul(&self.basis.detach())?
        } else {
            error.clone()
        };
        let excess = along.sqr()?.broadcast_mul(&cost.weight)?.broadcast_add(&cost.own)?;
        let sum = ((excess * rho.neg()?.exp()?)? + &rho)?.sum_keepdim(1)?;
        let dim = error.dim(1)? as f64;
        (sum + (&cost.constant * dim)?)? * 0.5
    }
}

/// Numbers of each row in the cost of a Gaussian step, `(n, 1)` each.
pub struct GaussianCost {
    /// Twice the cost of a unit of the squared error with a ratio of 1.
    pub weight: Tensor,
    /// Variance of the target as a share of the posterior's: 1 for a step, 0 for the decoder.
    pub own: Tensor,
    /// Twice the nats that depend neither on the error nor on the ratio.
    pub constant: Tensor,
}

fn widen(values: Vec<f32>) -> Vec<f64> {
    values.into_iter().map(f64::from).collect()
}
