//! A table of steps, and its cost.

use super::paths::Path;
use crate::model::variance::VarianceKind;
use ancestral::model::VarianceSpec;
use serde::Serialize;

/// A table of steps, and what it costs.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    /// Where its γ lie.
    pub path: Path,
    /// Its reverse variance.
    pub variance: VarianceKind,
    /// T.
    pub steps: usize,
    /// γ_0 ..= γ_T.
    pub gamma: Vec<f64>,
    /// The negative ELBO in bits per dimension that is expected from the errors that the table was chosen by.
    pub expected_bits_per_dim: f64,
    /// The same measured on the held-out rows.
    pub test_bits_per_dim: f64,
    /// The diffusion term's part of that.
    pub test_diffusion: f64,
    /// By the posterior's own variance, `T × D`; empty where it is that.
    #[serde(skip)]
    pub ratios: Vec<f64>,
    /// The basis, row-major; empty for the identity.
    #[serde(skip)]
    pub basis: Vec<f64>,
}

impl Table {
    /// For a model file.
    pub fn variance(&self) -> Option<VarianceSpec> {
        (!self.ratios.is_empty()).then(|| VarianceSpec {
            ratios: self.ratios.clone(),
            basis: self.basis.clone(),
        })
    }
}
