//! Training operations for a GPU: which kernels run on what, in which order.
//!
//! The kernels are in `cuda/*.cu`. What is here does not know who runs them: a [`Queue`] does. With the feature `cuda` that is a GPU
//! (`super::cuda`); in a test it is the CPU, which runs the same kernels from the same files thread by thread. So what a
//! GPU is told is checked where there is none.
//!
//! Addresses are plain numbers here, so a [`Span`] promises what a slice would: who makes one answers for it, and lengths are compared
//! before anything is launched.
#![allow(unsafe_code)]

pub mod draw;
pub mod elbo;
pub mod mlp;
mod params;
mod product;
pub mod update;

pub use params::{LANES, ROWS, THREADS};
pub use product::{Operand, Product};

use candle_core::Result;
use serde::{Deserialize, Serialize};
use std::ffi::c_void;
use std::marker::PhantomData;

/// How a GPU multiplies matrices. Parameters, moments and averages are f32 in any case, and so is every sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Products {
    /// In f32.
    #[default]
    F32,
    /// The factors rounded to 10 bits of fraction.
    Tf32,
    /// The factors, and the activations in memory, rounded to 7 bits of fraction.
    Bf16,
}

/// Numbers in the memory of a queue.
#[derive(Debug)]
pub struct Span<'a, T> {
    address: u64,
    len: usize,
    of: PhantomData<&'a T>,
}

impl<T> Clone for Span<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Span<'_, T> {}

impl<'a, T> Span<'a, T> {
    /// `len` numbers from `address` on.
    ///
    /// # Safety
    /// They must exist in the memory of the queue for as long as `'a`, and nobody else may use them between two launches of one operation.
    pub unsafe fn new(address: u64, len: usize) -> Self {
        Self {
            address,
            len,
            of: PhantomData,
        }
    }

    /// The first `len` of them, or all if there are no more.
    pub fn head(self, len: usize) -> Self {
        Self {
            len: len.min(self.len),
            ..self
        }
    }

    /// How many numbers.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where they begin.
    pub fn address(&self) -> u64 {
        self.address
    }
}

/// Runs kernels and products one after another.
pub trait Queue {
    /// Memory that is given back when it is dropped, once what was launched before is done.
    type Memory;

    /// Memory whose contents are not defined.
    fn reserve(&self, bytes: usize) -> Result<Self::Memory>;

    /// Where it begins, a multiple of 256.
    fn address(&self, memory: &Self::Memory) -> u64;

    /// Runs a kernel of `cuda/all.cu` with [`THREADS`] threads in each of `blocks`.
    ///
    /// # Safety
    /// `params` must point to the structure that the kernel takes, and the addresses in it to what the kernel reads and writes.
    unsafe fn launch(&self, kernel: &'static str, blocks: [u32; 2], params: *const c_void) -> Result<()>;

    /// Multiplies matrices.
    ///
    /// # Safety
    /// The operands' addresses must be of matrices of their sizes.
    unsafe fn multiply(&self, product: &Product) -> Result<()>;
}

/// Memory that grows and is used again.
#[derive(Debug)]
struct Kept<M>(Option<(M, usize)>);

impl<M> Default for Kept<M> {
    fn default() -> Self {
        Self(None)
    }
}

impl<M> Kept<M> {
    /// Where at least so many bytes are.
    fn at_least<Q: Queue<Memory = M>>(&mut self, queue: &Q, bytes: usize) -> Result<u64> {
        let bytes = bytes.max(1);
        if !matches!(&self.0, Some((_, size)) if *size >= bytes) {
            self.0 = Some((queue.reserve(bytes)?, bytes));
        }
        Ok(self.0.as_ref().map_or(0, |(memory, _)| queue.address(memory)))
    }
}

/// Blocks for so many threads.
fn blocks(threads: usize) -> Result<[u32; 2]> {
    across(threads.div_ceil(THREADS), 1)
}

fn across(x: usize, y: usize) -> Result<[u32; 2]> {
    match (u32::try_from(x), u32::try_from(y)) {
        (Ok(x), Ok(y)) if x <= i32::MAX as u32 && y <= u32::from(u16::MAX) => Ok([x, y]),
        _ => candle_core::bail!("a batch is too large for one launch: take a smaller train.batch"),
    }
}

fn narrow(value: usize) -> Result<u32> {
    match u32::try_from(value) {
        Ok(value) => Ok(value),
        Err(_) => candle_core::bail!("{value} is more than a kernel can count"),
    }
}

/// Runs a kernel with a structure of parameters.
///
/// # Safety
/// See [`Queue::launch`].
unsafe fn launch<P: params::Kernel>(queue: &impl Queue, blocks: [u32; 2], params: &P) -> Result<()> {
    if blocks.contains(&0) {
        return Ok(());
    }
    // SAFETY: the structure is the kernel's by its implementation of `Kernel`; for the addresses the caller answers.
    unsafe { queue.launch(P::NAME, blocks, std::ptr::from_ref(params).cast()) }
}

/// An error unless `fits`.
fn check(fits: bool, what: &str) -> Result<()> {
    if fits {
        return Ok(());
    }
    candle_core::bail!("the size of the {what} is not that of this operation")
}
