//! Training operations for a GPU: the kernels, their operands and their order.
//!
//! The kernels are in `cuda/*.cu`. A [`Queue`] runs them: with the feature `cuda` a GPU (`super::cuda`), in a test the
//! CPU, which runs the same kernels from the same files thread by thread. So every launch is tested without a GPU.
//!
//! Addresses are plain numbers, and a [`Span`] is a slice of them. Lengths are compared before anything is launched.

pub mod draw;
pub mod elbo;
mod launch;
mod memory;
pub mod mlp;
mod params;
mod product;
mod products;
pub mod progress;
mod queue;
mod span;
pub mod square;
pub mod update;

pub use params::THREADS;
pub use product::{Operand, Product};
pub use products::Products;
pub use queue::Queue;
pub use span::Span;
