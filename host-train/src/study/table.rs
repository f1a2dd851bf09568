//! A table of steps and its cost.

use super::paths::Path;
use crate::model::variance::VarianceKind;
use ancestral::model::VarianceSpec;
use ancestral::schedule::snr;
use serde::Serialize;

/// A table of steps and its cost.
#[derive(Clone, Debug, Serialize)]
pub struct ChosenSteps {
    /// Placement of its γ.
    pub path: Path,
    /// Its reverse variance.
    pub variance: VarianceKind,
    /// Number of steps T.
    pub steps: usize,
    /// Number of times that a sample runs the network: T, and one more with the network decoder.
    pub calls: usize,
    /// γ_0 ..= γ_T.
    pub gamma: Vec<f64>,
    /// Negative ELBO in bits per dimension, expected from the errors that the table was chosen by.
    pub expected_bits_per_dim: f64,
    /// The same measured on the held-out rows.
    pub test_bits_per_dim: f64,
    /// Diffusion term of `test_bits_per_dim`.
    pub test_diffusion: f64,
    /// Standard deviations of the network decoder of continuous data, along the basis; else empty.
    #[serde(skip)]
    pub deviations: Vec<f64>,
    /// Reverse variance as a multiple of the posterior's own, `T × D`; empty for the posterior's own.
    #[serde(skip)]
    pub ratios: Vec<f64>,
    /// Basis, row-major; empty for the identity.
    #[serde(skip)]
    pub basis: Vec<f64>,
    /// It was chosen by rows that the network was not trained on.
    #[serde(skip)]
    pub unseen: bool,
}

impl ChosenSteps {
    /// Returns the reverse variance for a model file, if it is not the posterior's own.
    pub fn variance(&self) -> Option<VarianceSpec> {
        (!self.ratios.is_empty()).then(|| VarianceSpec {
            ratios: self.ratios.clone(),
            basis: self.basis.clone(),
        })
    }

    /// Returns the variances of the network decoder of continuous data as multiples of 1/SNR_0.
    pub fn decoder_ratios(&self) -> Option<Vec<f64>> {
        let own = snr(*self.gamma.first()?);
        (!self.deviations.is_empty()).then(|| self.deviations.iter().map(|v| v * v * own).collect())
    }
}
