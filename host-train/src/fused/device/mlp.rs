//! A whole multi-layer perceptron forward and backward: the products are the queue's, with one kernel after each.
//!
//! As on the CPU ([`crate::fused::stack`]), a hidden layer leaves in place of its sums the slopes that its gradient is
//! multiplied by. With bf16 products the weights are rounded once a pass, and activations, slopes and gradients between
//! layers are kept in 16 bits.

mod backward;
mod forward;
mod operands;
mod pass;

pub use backward::backward;
pub use forward::forward;
pub use operands::{BatchSpans, GradientSpans, Space};
