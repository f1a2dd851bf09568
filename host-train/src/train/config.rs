//! A run's configuration: one TOML file with every hyperparameter.

mod check;
mod prediction;
mod schema;
mod text;

pub use schema::{Config, Generator, ModelConfig, Time, TrainConfig};
