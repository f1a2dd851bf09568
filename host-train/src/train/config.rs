//! A run's configuration: one TOML file with every hyperparameter.

mod check;
mod prediction;
mod schema;
mod text;

pub(super) use prediction::read_out;
pub use prediction::{DecoderKind, PredictionKind};
pub use schema::{Config, Generator, ModelConfig, Time, TrainConfig};
