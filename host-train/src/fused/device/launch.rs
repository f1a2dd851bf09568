//! The way from a structure of parameters to a launch.
#![allow(unsafe_code)] // Kernels run on plain addresses, for which the caller answers.

use super::params::{Kernel, THREADS};
use super::queue::Queue;
use candle_core::Result;

/// Returns the blocks for `threads` threads.
pub(super) fn blocks(threads: usize) -> Result<[u32; 2]> {
    grid(threads.div_ceil(THREADS), 1)
}

/// Returns `x × y` blocks; an error if the device cannot launch that number.
pub(super) fn grid(x: usize, y: usize) -> Result<[u32; 2]> {
    match (u32::try_from(x), u32::try_from(y)) {
        (Ok(x), Ok(y)) if x <= i32::MAX as u32 && y <= u32::from(u16::MAX) => Ok([x, y]),
        _ => candle_core::bail!("a batch is too large for one launch: take a smaller train.batch"),
    }
}

/// Returns `value` as a kernel counts.
pub(super) fn narrow(value: usize) -> Result<u32> {
    match u32::try_from(value) {
        Ok(value) => Ok(value),
        Err(_) => candle_core::bail!("{value} is more than a kernel can count: take a smaller batch or network"),
    }
}

/// Runs a kernel with a structure of parameters.
///
/// # Safety
/// See [`Queue::launch`].
pub(super) unsafe fn launch<P: Kernel>(queue: &impl Queue, blocks: [u32; 2], params: &P) -> Result<()> {
    if blocks.contains(&0) {
        return Ok(());
    }
    // SAFETY: `Kernel` promises that the structure is the kernel's own; the caller answers for the addresses.
    unsafe { queue.launch(P::NAME, blocks, std::ptr::from_ref(params).cast()) }
}

/// Returns an error that names `what` unless `fits`.
pub(super) fn check(fits: bool, what: &str) -> Result<()> {
    if fits {
        return Ok(());
    }
    candle_core::bail!("the size of the {what} does not fit this operation")
}
