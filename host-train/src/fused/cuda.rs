//! The operations of `fused::device` on an NVIDIA GPU.

mod gpu;
mod held;
mod kernels;
mod queue;

pub use gpu::{Gpu, GpuSpace};
pub use held::{Held, span};
pub use kernels::CAPABILITY;
