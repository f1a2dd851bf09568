//! A run's configuration: one TOML file with every hyperparameter.

mod check;
mod gamma_start;
mod prediction;
mod schema;
mod text;

pub use gamma_start::GammaStart;
pub(super) use prediction::read_out;
pub use prediction::{DecoderKind, PredictionKind};
pub use schema::{Config, Generator, ModelConfig, Time, TrainConfig};
