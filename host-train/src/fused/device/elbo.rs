//! The ELBO's terms on both sides of the network, as in `fused::elbo`.

mod cost;
mod level_nats;
mod reading;
mod row_error;
mod rows;
mod state;

pub use cost::Cost;
pub use level_nats::LevelNats;
pub use row_error::RowError;
pub use rows::RowSpans;
pub use state::{state, state_gradient};
