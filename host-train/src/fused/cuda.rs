//! Runs the kernels of [`device`] on an NVIDIA GPU, on the stream of candle's device: everything is done in the order in which
//! it is asked for, and nothing here waits.
#![allow(unsafe_code)]

use super::device::{self, Operand, Product, Products, Queue, Span};
use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::cublas::{result as blas, sys};
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaStream, DevicePtr, DeviceRepr, result};
use candle_core::cuda_backend::{CudaDType, WrapErr};
use candle_core::op::BackpropOp;
use candle_core::{CudaDevice, CudaStorage, Device, Layout, Result, Shape, Storage, StorageRef, Tensor};
use std::ffi::c_void;
use std::sync::Arc;

/// The kernels, for the compute capability of [`CAPABILITY`] and any later one.
const PTX: &str = include_str!(concat!(env!("OUT_DIR"), "/kernels.ptx"));
/// What the kernels were compiled for, as 80 for 8.0.
pub const CAPABILITY: &str = env!("ANCESTRAL_COMPUTE_CAP");

/// Memory of the network's passes.
pub type Space = device::mlp::Space<CudaSlice<u8>>;

/// A GPU and its stream.
pub struct Gpu {
    device: CudaDevice,
    stream: Arc<CudaStream>,
}

impl Gpu {
    /// That of a candle device, which must be a GPU.
    pub fn new(device: &Device) -> Result<Self> {
        let device = device.as_cuda_device()?.clone();
        Ok(Self {
            stream: device.cuda_stream(),
            device,
        })
    }

    /// That which a storage is on.
    pub fn of(storage: &CudaStorage) -> Self {
        let device = storage.device().clone();
        Self {
            stream: device.cuda_stream(),
            device,
        }
    }

    /// candle's device.
    pub fn device(&self) -> &CudaDevice {
        &self.device
    }

    /// The stream that everything runs on.
    pub fn stream(&self) -> &Arc<CudaStream> {
        &self.stream
    }

    /// Memory for `n` numbers whose values are not defined.
    pub fn room<T: DeviceRepr>(&self, n: usize) -> Result<CudaSlice<T>> {
        // SAFETY: any bits are a number of the types that are asked for, and a kernel writes them before another reads them.
        unsafe { self.device.alloc(n) }
    }

    /// The numbers in memory of this GPU.
    pub fn span<'a, T>(&self, memory: &'a CudaSlice<T>) -> Span<'a, T> {
        let (address, _) = memory.device_ptr(&self.stream);
        // SAFETY: they exist as long as the memory is borrowed, and one stream uses them in order.
        unsafe { Span::new(address, memory.len()) }
    }

    /// Memory as candle has it.
    pub fn storage<T: CudaDType>(&self, memory: CudaSlice<T>) -> CudaStorage {
        CudaStorage::wrap_cuda_slice(memory, self.device.clone())
    }

    /// A tensor of f32 whose values are not defined yet.
    pub fn tensor(&self, shape: &Shape) -> Result<Tensor> {
        let memory = self.room::<f32>(shape.elem_count())?;
        Ok(self.owned(memory, shape))
    }

    /// A tensor of numbers in memory of this GPU, which must be as many as the shape has.
    pub fn owned<T: CudaDType>(&self, memory: CudaSlice<T>, shape: &Shape) -> Tensor {
        let storage = Storage::Cuda(self.storage(memory));
        Tensor::from_storage(storage, shape.clone(), BackpropOp::none(), false)
    }

    /// A copy of these on the GPU.
    pub fn upload<T: DeviceRepr + 'static>(&self, values: &[T]) -> Result<CudaSlice<T>> {
        self.device.clone_htod(values)
    }

    /// Overwrites the numbers from `from` on; an error if there are not as many.
    pub fn write<T: DeviceRepr + 'static>(&self, values: &[T], memory: &mut CudaSlice<T>, from: usize) -> Result<()> {
        let Some(mut place) = memory.try_slice_mut(from..from + values.len()) else {
            candle_core::bail!("there is no room on the GPU for {} numbers", values.len())
        };
        self.device.memcpy_htod(values, &mut place)
    }

    /// A copy of the numbers on the host, once all that was asked for is done.
    pub fn read<T: DeviceRepr>(&self, memory: &CudaSlice<T>) -> Result<Vec<T>> {
        self.device.clone_dtoh(memory)
    }

    /// Waits until all that was asked for is done.
    pub fn wait(&self) -> Result<()> {
        self.stream.synchronize().w()
    }
}

impl Queue for Gpu {
    type Memory = CudaSlice<u8>;

    fn reserve(&self, bytes: usize) -> Result<CudaSlice<u8>> {
        self.room(bytes)
    }

    fn address(&self, memory: &CudaSlice<u8>) -> u64 {
        self.span(memory).address()
    }

    unsafe fn launch(&self, kernel: &'static str, blocks: [u32; 2], params: *const c_void) -> Result<()> {
        let kernel = self.device.get_or_load_custom_func(kernel, "ancestral", PTX)?;
        self.stream.context().bind_to_thread().w()?;
        let threads = (device::THREADS as u32, 1, 1);
        // SAFETY: the kernel takes one structure, to which `params` points; for what lies behind it the caller answers. The driver copies
        // the structure before it returns.
        unsafe {
            result::launch_kernel(
                kernel.into_cuda_function().cu_function(),
                (blocks[0], blocks[1], 1),
                threads,
                0,
                self.stream.cu_stream(),
                &mut [params.cast_mut()],
            )
        }
        .w()
    }

    unsafe fn multiply(&self, product: &Product) -> Result<()> {
        let turned = |transposed| match transposed {
            true => sys::cublasOperation_t::CUBLAS_OP_T,
            false => sys::cublasOperation_t::CUBLAS_OP_N,
        };
        let kind = |operand: Operand| match operand.half {
            true => sys::cudaDataType_t::CUDA_R_16BF,
            false => sys::cudaDataType_t::CUDA_R_32F,
        };
        let size = |size: usize| match i32::try_from(size) {
            Ok(size) => Ok(size),
            Err(_) => candle_core::bail!("a product with a side of {size} is larger than cuBLAS can count"),
        };
        let compute = match product.products {
            Products::Tf32 => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_TF32,
            Products::F32 | Products::Bf16 => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
        };
        let (one, before) = (1.0f32, f32::from(u8::from(product.add)));
        let ((a, turn_a), (b, turn_b), c) = (product.a, product.b, product.c);
        let handle = self.device.cublas_handle();
        self.stream.context().bind_to_thread().w()?;
        // SAFETY: the handle is candle's own and works on the same stream; both factors are on the host, where this handle looks for
        // them; for the matrices the caller answers.
        let done = unsafe {
            blas::gemm_ex(
                *handle.handle(),
                turned(turn_a),
                turned(turn_b),
                size(product.m)?,
                size(product.n)?,
                size(product.k)?,
                std::ptr::from_ref(&one).cast(),
                a.address as *const c_void,
                kind(a),
                size(a.stride)?,
                b.address as *const c_void,
                kind(b),
                size(b.stride)?,
                std::ptr::from_ref(&before).cast(),
                c.address as *mut c_void,
                kind(c),
                size(c.stride)?,
                compute,
                sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
            )
        };
        done.w()
    }
}

/// The numbers of a dense storage.
pub fn span<'a, T: CudaDType>(storage: &'a CudaStorage, layout: &Layout) -> Result<Span<'a, T>> {
    let Some((from, to)) = layout.contiguous_offsets() else {
        candle_core::bail!("an operand of a kernel must be contiguous")
    };
    let memory = storage.as_cuda_slice::<T>()?;
    let stream = storage.device().cuda_stream();
    let (address, _) = memory.device_ptr(&stream);
    // SAFETY: they exist as long as the storage is borrowed, and one stream uses them in order.
    Ok(unsafe { Span::new(address + (from * size_of::<T>()) as u64, to - from) })
}

/// A tensor held open for the kernels. What a kernel writes into it is in order too: candle reads it on the same stream, later.
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

    /// Its numbers.
    pub fn span<T: CudaDType>(&self) -> Result<Span<'_, T>> {
        match &*self.storage {
            Storage::Cuda(storage) => span(storage, self.layout),
            _ => candle_core::bail!("every operand of a kernel must be on the GPU"),
        }
    }
}
