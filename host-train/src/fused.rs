//! Training operations that do in one pass what candle does in many, on the CPU and, with the feature `cuda`, on a GPU.
//!
//! A small network spends most of its time outside the products: an allocation for every tensor, a pass over memory for
//! every sum, product and activation. So the operations of a training step are candle operations with gradients of
//! their own:
//!
//! | operation | replaces |
//! |---|---|
//! | [`mlp`] on [`stack`] | product, biases, activation, dropout and residual of every layer, and all their gradients |
//! | [`elbo`] | drawing z_t; the estimate, the nats of each step and their sum |
//! | [`square`] | the mean squared error |
//! | [`norm`] | the sum for clipping |
//! | [`adamw`] | AdamW and the moving average |
//!
//! Products are the `gemm` crate's, called from [`product`]; everything else is safe code that compiles to vector
//! instructions ([`lanes`]). Work is cut by shape, not by threads ([`pieces`]): the bits are the same on any number of
//! them.
//!
//! On a GPU the same operations launch the kernels of `cuda/*.cu`: [`device`] has them in order, the queue
//! in `cuda` runs them, and `graph` launches a whole step at once.
//!
//! candle's own operations remain the definition: tests compare each of these with them, in f64 and over a hundred
//! steps of training.

pub mod adamw;
#[cfg(feature = "cuda")]
pub mod cuda;
pub mod device;
mod devices;
pub mod elbo;
#[cfg(feature = "cuda")]
pub mod graph;
pub mod index;
pub mod lanes;
pub mod mlp;
pub mod norm;
pub mod pieces;
pub mod product;
pub mod read_out;
pub mod square;
pub mod stack;
mod storage;

pub use devices::serves;
