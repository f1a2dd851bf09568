//! Number format of a GPU's products.

use serde::{Deserialize, Serialize};

/// Number format of a GPU's products. Parameters, moments, averages and all sums are f32 in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Products {
    /// In f32
    #[default]
    F32,
    /// With the factors rounded to 10 bits of fraction
    Tf32,
    /// With the factors, and the activations in memory, rounded to 7 bits of fraction
    Bf16,
}
