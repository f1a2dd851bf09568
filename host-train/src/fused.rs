//! Training operations that do in one pass what candle does in many, on the CPU and, with the feature `cuda`, on a GPU.
//!
//! A small network spends most of its time beside the products: an allocation for every tensor, a pass over memory for every sum, product
//! and activation. So what a training step repeats is here as candle operations with gradients of their own:
//!
//! | operation | in the place of |
//! |---|---|
//! | [`mlp`] on [`stack`] | every layer's product, biases, activation, dropout, residual, and all their gradients |
//! | [`elbo`] | drawing z_t; the target, the weights and the sum of the diffusion term |
//! | [`square`] | the mean squared error |
//! | [`norm`] | the sum that clipping asks for |
//!
//! AdamW, the moving average and clipping are in [`crate::optimizer`]. Products are the `gemm` crate's, called from [`product`]; everything
//! else is safe code that becomes vectors ([`lanes`]). Work is cut by shape, not by threads ([`pieces`]): the same bits on any number of them.
//!
//! On a GPU the same operations launch the kernels of `cuda/*.cu`: [`device`] says which and in what order, the queue in `cuda` runs them,
//! and `graph` launches a whole step at once.
//!
//! candle's own operations stay as the definition: tests hold each of these against them, in f64 and over a hundred steps of training.

pub mod adamw;
#[cfg(feature = "cuda")]
pub mod cuda;
pub mod device;
pub mod elbo;
#[cfg(feature = "cuda")]
pub mod graph;
pub mod index;
pub mod lanes;
pub mod mlp;
pub mod norm;
pub mod pieces;
pub mod product;
pub mod square;
pub mod stack;
mod storage;

/// Whether the operations of this room run on a device: the CPU always, an NVIDIA GPU in a build for it.
pub fn serves(device: &candle_core::Device) -> bool {
    device.is_cpu() || (cfg!(feature = "cuda") && device.is_cuda())
}
