//! A queue that runs on the CPU: the kernels are compiled from the files that nvcc compiles, products are sums in f64.

use crate::common::left_out;
use candle_core::Result;
use host_train::fused::device::{Operand, Product, Products, Queue, Span};
use libloading::Library;
use std::ffi::c_void;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

/// The compiled kernels. One launch runs at a time, because a block's state is global in them.
pub struct Emulator {
    library: Mutex<Library>,
}

/// Memory of a queue: aligned as [`Queue::address`] promises.
pub struct Memory(Vec<Page>);

#[derive(Clone, Copy)]
#[repr(align(256))]
struct Page {
    _bytes: [u8; 256],
}

impl Emulator {
    /// Returns the kernels, which the first caller compiles. If there is no C compiler, returns `None` and reports the
    /// test as left out.
    pub fn get(test: &str) -> Option<&'static Self> {
        static EMULATOR: OnceLock<Option<Emulator>> = OnceLock::new();
        let emulator = EMULATOR.get_or_init(Self::compile).as_ref();
        if emulator.is_none() {
            left_out(test, "no C compiler `cc` was found to run the kernels on the CPU");
        }
        emulator
    }

    /// Returns `None` only if there is no C compiler: one that does not work fails the test.
    fn compile() -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("kernels.so");
        let started = Command::new("cc")
            .args(["-x", "c", "-std=gnu11", "-O2", "-ffp-contract=off", "-Wall", "-Werror"])
            .args(["-shared", "-fPIC", "-I"])
            .arg(root.join("tests/kernels"))
            .arg(root.join("src/fused/cuda/all.cu"))
            .arg("-o")
            .arg(&library)
            .arg("-lm")
            .status();
        let status = match started {
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            started => started.expect("the C compiler `cc` does not start"),
        };
        assert!(status.success(), "the kernels do not compile");
        // SAFETY: the library was just made from this project's kernels and has no initializers.
        let library = unsafe { Library::new(library) }.unwrap();
        Some(Self {
            library: Mutex::new(library),
        })
    }
}

impl Memory {
    /// Returns a copy of the values.
    pub fn from_values<T: Copy>(values: &[T]) -> Self {
        let memory = Self::uninitialized(std::mem::size_of_val(values));
        // SAFETY: the memory is as large as the values, and does not overlap them.
        unsafe {
            std::ptr::copy_nonoverlapping(values.as_ptr(), memory.0.as_ptr().cast_mut().cast(), values.len());
        }
        memory
    }

    /// Returns memory full of NaN, so that a read before the first write is detected.
    pub fn uninitialized(bytes: usize) -> Self {
        Self(vec![Page { _bytes: [0xFF; 256] }; bytes.div_ceil(256).max(1)])
    }

    /// Returns the span of the first `len` numbers.
    pub fn span<T>(&self, len: usize) -> Span<'_, T> {
        assert!(len * size_of::<T>() <= self.0.len() * 256);
        // SAFETY: the memory holds `len` numbers, and tests use them by one operation at a time.
        unsafe { Span::new(self.0.as_ptr() as u64, len) }
    }

    /// Returns a copy of the first `len` numbers.
    pub fn read<T: Copy>(&self, len: usize) -> Vec<T> {
        let span = self.span::<T>(len);
        // SAFETY: the memory holds `len` numbers, and any bits are one.
        unsafe { std::slice::from_raw_parts(span.address() as *const T, len) }.to_vec()
    }
}

impl Queue for Emulator {
    type Memory = Memory;

    fn reserve(&self, bytes: usize) -> Result<Memory> {
        Ok(Memory::uninitialized(bytes))
    }

    fn address(&self, memory: &Memory) -> u64 {
        memory.0.as_ptr() as u64
    }

    unsafe fn launch(&self, kernel: &'static str, blocks: [u32; 2], params: *const c_void) -> Result<()> {
        type Launch = unsafe extern "C" fn(*const c_void, u32, u32) -> i32;
        let library = self.library.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: `KERNEL` in emulator.h makes a function of this type for every kernel; the caller answers for the
        // parameters.
        let diverged = unsafe {
            let launch = library.get::<Launch>(format!("emulate_{kernel}")).unwrap();
            launch(params, blocks[0], blocks[1])
        };
        assert_eq!(diverged, 0, "threads of {kernel} wait for others that have ended");
        Ok(())
    }

    unsafe fn multiply(&self, product: &Product) -> Result<()> {
        let Product { a, b, c, m, n, k, .. } = *product;
        let rounded = |value: f32| match product.products {
            Products::Tf32 => f32::from_bits((value.to_bits() + 0x1000) & !0x1FFF),
            _ => value,
        };
        // By columns: the element in row i and column j is j strides and i elements away.
        let element = |(operand, transposed): (Operand, bool), i: usize, j: usize| {
            let place = if transposed {
                i * operand.stride + j
            } else {
                j * operand.stride + i
            };
            // SAFETY: the caller answers for it that the operand is a matrix of its sizes.
            unsafe { rounded(load(operand, place)) }
        };
        for j in 0..n {
            for i in 0..m {
                let mut sum = 0.0;
                for l in 0..k {
                    sum += f64::from(element(a, i, l)) * f64::from(element(b, l, j));
                }
                // SAFETY: as above.
                unsafe {
                    let place = j * c.stride + i;
                    if product.add {
                        sum += f64::from(load(c, place));
                    }
                    store(c, place, sum as f32);
                }
            }
        }
        Ok(())
    }
}

unsafe fn load(operand: Operand, place: usize) -> f32 {
    // SAFETY: the caller answers for the address.
    unsafe {
        match operand.bf16 {
            true => half::bf16::from_bits(*(operand.address as *const u16).add(place)).to_f32(),
            false => *(operand.address as *const f32).add(place),
        }
    }
}

unsafe fn store(operand: Operand, place: usize, value: f32) {
    // SAFETY: the caller answers for the address.
    unsafe {
        match operand.bf16 {
            true => *(operand.address as *mut u16).add(place) = half::bf16::from_f32(value).to_bits(),
            false => *(operand.address as *mut f32).add(place) = value,
        }
    }
}
