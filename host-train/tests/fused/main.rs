//! The fused operations against candle's own: values and gradients in f64, the bits on one, two and three threads, a
//! hundred steps of training.

#[path = "../common/mod.rs"]
mod common;
mod elbo;
mod network;
#[cfg(feature = "cuda")]
mod on_gpu;
mod square;
mod support;
mod training;
mod unbiased;
