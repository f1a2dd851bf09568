//! The training loss: the full negative ELBO, all three terms with their gradients.

mod chain;
pub mod continuous;
pub mod draws;
pub mod elbo;
mod ends;
pub mod objective;
mod row_nats;
pub mod terms;

pub use continuous::LimitElbo;
pub use draws::{ChainDraws, Draws, Dropout, TimeDraws, chain_start_fraction, mask_uniforms, times_to_steps};
pub use objective::Objective;
pub use terms::Terms;
