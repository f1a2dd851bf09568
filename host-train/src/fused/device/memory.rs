//! Memory that the passes of a network share.

use super::queue::Queue;
use candle_core::Result;

/// Memory that grows on demand and is reused.
#[derive(Debug)]
pub(super) struct GrowingMemory<M>(Option<(M, usize)>);

impl<M> Default for GrowingMemory<M> {
    fn default() -> Self {
        Self(None)
    }
}

impl<M> GrowingMemory<M> {
    /// Returns the address of at least `bytes` bytes, in new memory if there are too few.
    pub(super) fn at_least<Q: Queue<Memory = M>>(&mut self, queue: &Q, bytes: usize) -> Result<u64> {
        let bytes = bytes.max(1);
        if !matches!(&self.0, Some((_, size)) if *size >= bytes) {
            self.0 = Some((queue.reserve(bytes)?, bytes));
        }
        Ok(self.0.as_ref().map_or(0, |(memory, _)| queue.address(memory)))
    }
}
