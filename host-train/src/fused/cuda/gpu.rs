//! A GPU, its memory and its stream.
#![allow(unsafe_code)] // Memory of a GPU is a plain address, for which this file answers.

use crate::fused::device::{Span, mlp};
use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaStream, DevicePtr, DeviceRepr};
use candle_core::cuda_backend::{CudaDType, WrapErr};
use candle_core::op::BackpropOp;
use candle_core::{CudaDevice, CudaStorage, Device, Result, Shape, Storage, Tensor};
use std::sync::Arc;

/// Memory of a network's passes on a GPU.
pub type GpuSpace = mlp::Space<CudaSlice<u8>>;

/// A GPU and its stream.
pub struct Gpu {
    device: CudaDevice,
    stream: Arc<CudaStream>,
}

impl Gpu {
    /// Returns the GPU of a candle device; an error if it is not one.
    pub fn new(device: &Device) -> Result<Self> {
        let device = device.as_cuda_device()?.clone();
        Ok(Self {
            stream: device.cuda_stream(),
            device,
        })
    }

    /// Returns the GPU that a storage is on.
    pub fn from_storage(storage: &CudaStorage) -> Self {
        let device = storage.device().clone();
        Self {
            stream: device.cuda_stream(),
            device,
        }
    }

    /// Device of candle.
    pub fn device(&self) -> &CudaDevice {
        &self.device
    }

    /// Stream that everything runs on.
    pub fn stream(&self) -> &Arc<CudaStream> {
        &self.stream
    }

    /// Allocates `n` numbers whose values are undefined.
    pub fn alloc<T: DeviceRepr>(&self, n: usize) -> Result<CudaSlice<T>> {
        // SAFETY: any bits are a number of the types that callers ask for, and a kernel writes them before another
        // reads them.
        unsafe { self.device.alloc(n) }
    }

    /// Returns the span of the numbers in memory of this GPU.
    pub fn span<'a, T>(&self, memory: &'a CudaSlice<T>) -> Span<'a, T> {
        let (address, _) = memory.device_ptr(&self.stream);
        // SAFETY: the numbers exist as long as the memory is borrowed, and one stream uses them in order.
        unsafe { Span::new(address, memory.len()) }
    }

    /// Returns the memory as a storage of candle.
    pub fn storage<T: CudaDType>(&self, memory: CudaSlice<T>) -> CudaStorage {
        CudaStorage::wrap_cuda_slice(memory, self.device.clone())
    }

    /// Allocates a tensor of f32 whose values are undefined.
    pub fn tensor(&self, shape: &Shape) -> Result<Tensor> {
        let memory = self.alloc::<f32>(shape.elem_count())?;
        Ok(self.owned(memory, shape))
    }

    /// Returns a tensor that owns memory of this GPU, which must hold as many numbers as the shape.
    pub fn owned<T: CudaDType>(&self, memory: CudaSlice<T>, shape: &Shape) -> Tensor {
        let storage = Storage::Cuda(self.storage(memory));
        Tensor::from_storage(storage, shape.clone(), BackpropOp::none(), false)
    }

    /// Copies the values to the GPU.
    pub fn upload<T: DeviceRepr + 'static>(&self, values: &[T]) -> Result<CudaSlice<T>> {
        self.device.clone_htod(values)
    }

    /// Overwrites the numbers from position `from` on; an error if the memory ends before the values do.
    pub fn write<T: DeviceRepr + 'static>(&self, values: &[T], memory: &mut CudaSlice<T>, from: usize) -> Result<()> {
        let Some(mut target) = memory.try_slice_mut(from..from + values.len()) else {
            candle_core::bail!(
                "{} numbers from position {from} on do not fit the memory reserved on the GPU",
                values.len()
            )
        };
        self.device.memcpy_htod(values, &mut target)
    }

    /// Waits until everything that was launched is done, and copies the numbers to the host.
    pub fn read<T: DeviceRepr>(&self, memory: &CudaSlice<T>) -> Result<Vec<T>> {
        self.device.clone_dtoh(memory)
    }

    /// Waits until everything that was launched is done.
    pub fn wait(&self) -> Result<()> {
        self.stream.synchronize().w()
    }
}
