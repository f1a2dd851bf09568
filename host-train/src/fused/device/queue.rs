//! The device as the operations see it.
#![allow(unsafe_code)] // A queue runs kernels on plain addresses, for which the caller answers.

#[cfg(doc)]
use super::params::THREADS;
use super::product::Product;
use candle_core::Result;
use std::ffi::c_void;

/// A device that runs kernels and products one after another.
pub trait Queue {
    /// Memory that is freed after it is dropped, once everything launched before is done.
    type Memory;

    /// Reserves memory whose contents are undefined.
    fn reserve(&self, bytes: usize) -> Result<Self::Memory>;

    /// Address of the memory, a multiple of 256.
    fn address(&self, memory: &Self::Memory) -> u64;

    /// Runs a kernel of `cuda/all.cu` with [`THREADS`] threads in each of `blocks`.
    ///
    /// # Safety
    /// `params` must point to the structure that the kernel takes, and the addresses in it to the memory that the
    /// kernel reads and writes.
    unsafe fn launch(&self, kernel: &'static str, blocks: [u32; 2], params: *const c_void) -> Result<()>;

    /// Multiplies matrices.
    ///
    /// # Safety
    /// The operands' addresses must be those of matrices of their sizes.
    unsafe fn multiply(&self, product: &Product) -> Result<()>;
}
