//! Tensors of candle as operands of kernels.
#![allow(unsafe_code)] // Memory of a GPU is a plain address, for which this file answers.

use crate::fused::device::Span;
use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::CudaDType;
use candle_core::cuda_backend::cudarc::driver::DevicePtr;
use candle_core::{CudaStorage, Layout, Result, Storage, StorageRef, Tensor};

/// Returns the span of a dense storage.
pub fn span<'a, T: CudaDType>(storage: &'a CudaStorage, layout: &Layout) -> Result<Span<'a, T>> {
    let Some((from, to)) = layout.contiguous_offsets() else {
        candle_core::bail!("an operand of a kernel must be contiguous")
    };
    let memory = storage.as_cuda_slice::<T>()?;
    let stream = storage.device().cuda_stream();
    let (address, _) = memory.device_ptr(&stream);
    // SAFETY: the numbers exist as long as the storage is borrowed, and one stream uses them in order.
    Ok(unsafe { Span::new(address + (from * size_of::<T>()) as u64, to - from) })
}

/// A tensor held open for the kernels. A kernel may write into it, because candle reads it later on the same stream.
pub struct Held<'a> {
    storage: StorageRef<'a>,
    layout: &'a Layout,
}

impl<'a> Held<'a> {
    /// Opens a tensor, which must be dense and on a GPU.
    pub fn new(tensor: &'a Tensor) -> Result<Self> {
        let (storage, layout) = tensor.storage_and_layout();
        match &*storage {
            Storage::Cuda(_) if layout.is_contiguous() => Ok(Self { storage, layout }),
            Storage::Cuda(_) => candle_core::bail!("an operand of a kernel must be contiguous"),
            _ => candle_core::bail!("every operand of a kernel must be on the GPU"),
        }
    }

    /// Returns the span of its numbers.
    pub fn span<T: CudaDType>(&self) -> Result<Span<'_, T>> {
        match &*self.storage {
            Storage::Cuda(storage) => span(storage, self.layout),
            _ => candle_core::bail!("every operand of a kernel must be on the GPU"),
        }
    }
}
