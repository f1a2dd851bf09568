//! The kernels of a GPU, run on the CPU: compiled by the C compiler, launched in the order and with the sizes that a
//! GPU gets, and compared with the operations for the CPU. `tests/fused` compares those with candle's in f64.
#![cfg(target_os = "linux")]

#[path = "../common/mod.rs"]
mod common;
mod draws;
mod elbo;
mod emulator;
mod network;
mod support;
mod updates;
