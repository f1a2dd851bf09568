//! The ELBO's terms on both sides of the network: the state z_t that goes in, and what its output costs.

mod cost;
mod error;
#[cfg(feature = "cuda")]
mod gpu;
mod level_nats;
mod rows;
mod state;

pub use rows::Rows;
