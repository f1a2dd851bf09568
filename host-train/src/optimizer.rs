//! AdamW with a moving average of the parameters.
//!
//! Its whole state is public, so that a checkpoint can hold it. It lies in one piece of memory, so that a GPU updates
//! all parameters at once ([`crate::fused::device::update`]).

pub mod adamw;
#[cfg(feature = "cuda")]
pub mod gpu;
pub mod slot;
pub mod update;

pub use adamw::Optimizer;
pub use slot::Slot;
pub use update::Update;
