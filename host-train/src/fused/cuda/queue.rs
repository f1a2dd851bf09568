//! Launches on a GPU, all on the stream of candle's device: everything runs in the order of its launch, and nothing
//! here waits.
#![allow(unsafe_code)] // Kernels and cuBLAS take plain addresses, for which the caller answers.

use super::gpu::Gpu;
use super::kernels::PTX;
use crate::fused::device::{Operand, Product, Products, Queue, THREADS};
use candle_core::Result;
use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::cublas::{result as blas, sys};
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, result};
use std::ffi::c_void;

impl Queue for Gpu {
    type Memory = CudaSlice<u8>;

    fn reserve(&self, bytes: usize) -> Result<CudaSlice<u8>> {
        self.alloc(bytes)
    }

    fn address(&self, memory: &CudaSlice<u8>) -> u64 {
        self.span(memory).address()
    }

    unsafe fn launch(&self, kernel: &'static str, blocks: [u32; 2], params: *const c_void) -> Result<()> {
        let kernel = self.device().get_or_load_custom_func(kernel, "ancestral", PTX)?;
        self.stream().context().bind_to_thread().w()?;
        let threads = (THREADS as u32, 1, 1);
        // SAFETY: the kernel takes one structure, to which `params` points; the caller answers for its addresses. The
        // driver copies the structure before it returns.
        unsafe {
            result::launch_kernel(
                kernel.into_cuda_function().cu_function(),
                (blocks[0], blocks[1], 1),
                threads,
                0,
                self.stream().cu_stream(),
                &mut [params.cast_mut()],
            )
        }
        .w()
    }

    unsafe fn multiply(&self, product: &Product) -> Result<()> {
        let compute = match product.products {
            Products::Tf32 => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_TF32,
            Products::F32 | Products::Bf16 => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
        };
        let (one, before) = (1.0f32, f32::from(u8::from(product.add)));
        let ((a, transpose_a), (b, transpose_b), c) = (product.a, product.b, product.c);
        let handle = self.device().cublas_handle();
        self.stream().context().bind_to_thread().w()?;
        // SAFETY: the handle is candle's own and works on the same stream; both scalars are on the host, where this
        // handle looks for them; the caller answers for the matrices.
        let status = unsafe {
            blas::gemm_ex(
                *handle.handle(),
                operation(transpose_a),
                operation(transpose_b),
                size(product.m)?,
                size(product.n)?,
                size(product.k)?,
                std::ptr::from_ref(&one).cast(),
                a.address as *const c_void,
                data_type(a),
                size(a.stride)?,
                b.address as *const c_void,
                data_type(b),
                size(b.stride)?,
                std::ptr::from_ref(&before).cast(),
                c.address as *mut c_void,
                data_type(c),
                size(c.stride)?,
                compute,
                sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
            )
        };
        status.w()
    }
}

fn operation(transposed: bool) -> sys::cublasOperation_t {
    match transposed {
        true => sys::cublasOperation_t::CUBLAS_OP_T,
        false => sys::cublasOperation_t::CUBLAS_OP_N,
    }
}

fn data_type(operand: Operand) -> sys::cudaDataType_t {
    match operand.bf16 {
        true => sys::cudaDataType_t::CUDA_R_16BF,
        false => sys::cudaDataType_t::CUDA_R_32F,
    }
}

fn size(size: usize) -> Result<i32> {
    match i32::try_from(size) {
        Ok(size) => Ok(size),
        Err(_) => candle_core::bail!("a product with a side of {size} is larger than cuBLAS can count"),
    }
}
