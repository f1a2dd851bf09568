//! The learned reverse variance: one number per step and direction.

use super::parameter::Parameter;
use ancestral::model::VarianceSpec;
use anyhow::{Result, ensure};
use candle_core::{DType, Device, Tensor, Var};
use serde::{Deserialize, Serialize};

/// What the reverse variance is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VarianceKind {
    /// The posterior's own.
    #[default]
    Posterior,
    /// What the error of x̂ asks for, per step and dimension.
    Calibrated,
    /// The same in the basis of the errors.
    Rotated,
}

/// Every variance.
pub const VARIANCES: [VarianceKind; 3] = [VarianceKind::Posterior, VarianceKind::Calibrated, VarianceKind::Rotated];

impl VarianceKind {
    /// Its name in tables and charts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Posterior => "posterior",
            Self::Calibrated => "calibrated",
            Self::Rotated => "rotated",
        }
    }
}

/// `v_td = σ_s² c · exp(ρ_td)`: ρ is the logarithm of the reverse variance by the posterior's own, per step and direction of a basis.
#[derive(Clone, Debug)]
pub struct VarianceTable {
    log_ratios: Var,
    basis: Var,
    rotated: bool,
}

impl VarianceTable {
    /// The posterior's own, `steps × dim`, in the identity's directions.
    ///
    /// * `rotated`: whether the basis will be another.
    pub fn new(steps: usize, dim: usize, rotated: bool, device: &Device) -> Result<Self> {
        // Without a rotation there is nothing to keep.
        let side = if rotated { dim } else { 0 };
        let identity: Vec<f32> = (0..side * side)
            .map(|i| if i % (side + 1) == 0 { 1.0 } else { 0.0 })
            .collect();
        Ok(Self {
            log_ratios: Var::zeros((steps, dim), DType::F32, device)?,
            basis: Var::from_tensor(&Tensor::from_vec(identity, (side, side), device)?)?,
            rotated,
        })
    }

    /// Takes over variances by the posterior's own and their basis.
    pub fn set(&self, variance: &VarianceSpec) -> Result<()> {
        let (steps, dim) = self.log_ratios.dims2()?;
        ensure!(
            variance.ratios.len() == steps * dim && variance.basis.is_empty() != self.rotated,
            "the variances are not those of {steps} steps in {dim} directions"
        );
        let device = self.log_ratios.device();
        let ratios: Vec<f32> = variance.ratios.iter().map(|r| r.ln() as f32).collect();
        self.log_ratios.set(&Tensor::from_vec(ratios, (steps, dim), device)?)?;
        if self.rotated {
            let basis: Vec<f32> = variance.basis.iter().map(|&u| u as f32).collect();
            self.basis.set(&Tensor::from_vec(basis, (dim, dim), device)?)?;
        }
        Ok(())
    }

    /// For a model file.
    pub fn spec(&self) -> Result<VarianceSpec> {
        let widen = |v: Vec<f32>| v.into_iter().map(f64::from);
        Ok(VarianceSpec {
            ratios: widen(self.log_ratios.flatten_all()?.to_vec1()?).map(f64::exp).collect(),
            basis: widen(self.basis.flatten_all()?.to_vec1()?).collect(),
        })
    }

    /// Its parameters, in a fixed order. The basis is kept with them but not learned: the ELBO has no gradient that would keep it
    /// orthogonal.
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

    /// What steps cost, in nats: `½ Σ_d [ρ_d + (1 + w e_d²)/exp(ρ_d) − 1]`, which is smallest at `ρ_d = ln(1 + w ⟨e_d²⟩)`. `(n, 1)`.
    ///
    /// * `s`: row of the table for each row of the batch, `(n)`;
    /// * `error`: an error of the network's output, `(n, D)`;
    /// * `weight`: w, twice what a unit of its square costs with the posterior's own variance, `(n, 1)`.
    pub fn nats(&self, s: &Tensor, error: &Tensor, weight: &Tensor) -> candle_core::Result<Tensor> {
        let rho = self.log_ratios.index_select(s, 0)?;
        let along = if self.rotated {
            error.matmul(&self.basis.detach())?
        } else {
            error.clone()
        };
        let excess = along.sqr()?.broadcast_mul(weight)?.affine(1.0, 1.0)?;
        let cost = ((excess * rho.neg()?.exp()?)? + &rho)?.affine(0.5, -0.5)?;
        cost.sum_keepdim(1)
    }
}
