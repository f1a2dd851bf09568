//! The operations of `fused::device` on an NVIDIA GPU.

mod gpu;
mod held;
mod kernels;
mod queue;

pub use gpu::{Gpu, Space};
pub use held::{Held, span};
pub use kernels::CAPABILITY;
