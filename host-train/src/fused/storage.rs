//! Tensors of candle as slices.

use candle_core::{CpuStorage, Layout, Result, Storage, StorageRef, Tensor};

/// Returns the numbers of a storage, which must be dense `f32`.
pub fn slice<'a>(storage: &'a CpuStorage, layout: &Layout, op: &str) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((from, to))) => Ok(&values[from..to]),
        (CpuStorage::F32(_), None) => candle_core::bail!("{op}: every operand must be contiguous"),
        _ => candle_core::bail!("{op}: every operand must be f32"),
    }
}

/// Tensors held open for reading.
pub struct Open<'a>(Vec<(StorageRef<'a>, &'a Layout)>);

impl<'a> Open<'a> {
    /// Opens the tensors.
    pub fn new(tensors: impl IntoIterator<Item = &'a Tensor>) -> Self {
        Self(tensors.into_iter().map(Tensor::storage_and_layout).collect())
    }

    /// Returns the numbers of each tensor, which must be dense `f32` on the CPU.
    pub fn slices(&self, op: &str) -> Result<Vec<&[f32]>> {
        let mut slices = Vec::with_capacity(self.0.len());
        for (storage, layout) in &self.0 {
            match &**storage {
                Storage::Cpu(storage) => slices.push(slice(storage, layout, op)?),
                _ => candle_core::bail!("{op}: every operand must be on the CPU"),
            }
        }
        Ok(slices)
    }
}
