//! Sums of products: where a denoiser spends its time.
//!
//! A layer's sums are made in blocks of rows, for one sample or for [`GROUP`] samples that share a pass over the
//! weights. The [`portable`] kernel is safe Rust and the reference. The build script picks a kernel that knows the core
//! ([`NAME`] says which), and every kernel gives the same bits, because sums of integers do not depend on their order.
//! A kernel first brings the input into the order in which it multiplies ([`Kernel::prepare`]), once per layer. The
//! weights therefore lie in the model file as any reader expects them.
//!
//! | kernel | cores | how |
//! |---|---|---|
//! | `portable` | any | safe Rust |
//! | `desktop` | x86-64, with the feature `std` | the portable loops, also compiled for AVX2 and chosen at run time |
//! | `dsp` | Cortex-M4, M7, M33: Armv7E-M, Armv8-M with the DSP extension | `smlad`: two products per instruction; three rows share an input |
//! | `helium` | Cortex-M55, M85 | sixteen products per instruction; activations four at a time |
//! | `armv6m` | Cortex-M0, M0+, M1, M23 | bytes by shifts for two rows; two nibbles per multiplication |
//! | `rv32im` | 32-bit RISC-V with a multiplier | four rows share an input; two nibbles per multiplication |
//!
//! The features `kernel-portable` and so on override the build script. A Cortex-M33 without the DSP extension needs
//! `kernel-portable`, and a Cortex-M55 `kernel-helium` or `-C target-cpu=cortex-m55`: their targets do not tell them
//! from other cores. A kernel leaves rows whose length it does not take to the portable one, for the same sums in more
//! time: `dsp` takes multiples of 8 columns; `armv6m` of 4 bytes or 16 nibbles; `rv32im` of 8 or 16; `helium` of 32
//! nibbles.

mod caps;
pub mod float;
mod inputs;
mod interface;
mod matrix;
pub mod portable;
mod walk;

#[cfg(ancestral_kernel = "armv6m")]
#[allow(unsafe_code)]
mod armv6m;
#[cfg(ancestral_kernel = "desktop")]
#[allow(unsafe_code)]
mod desktop;
#[cfg(ancestral_kernel = "dsp")]
#[allow(unsafe_code)]
mod dsp;
#[cfg(ancestral_kernel = "helium")]
#[allow(unsafe_code)]
mod helium;
#[cfg(ancestral_kernel = "rv32im")]
#[allow(unsafe_code)]
mod rv32im;

// Shared by several kernels.
#[cfg(any(ancestral_kernel = "dsp", ancestral_kernel = "helium"))]
#[allow(unsafe_code)]
mod dsp_scalar;
#[cfg(any(ancestral_kernel = "armv6m", ancestral_kernel = "rv32im"))]
mod swar;
#[cfg(ancestral_vcvt)]
#[allow(unsafe_code)]
mod vcvt;

pub use caps::{AllCaps, KernelCaps};
pub use inputs::Inputs;
pub use interface::{BLOCK, Emit, GROUP, Kernel, SMALL, WORK_BYTES, block_rows};
pub use matrix::{Matrix, row_len};
pub use walk::{sums, takes};

include!(concat!(env!("OUT_DIR"), "/active_kernel.rs"));

/// Name of this build's kernel.
pub const NAME: &str = Active::NAME;

/// [`Kernel::ZERO_POINT`] of this build's kernel.
pub const ZERO_POINT: i32 = Active::ZERO_POINT;

/// [`Kernel::Work`] of this build's kernel.
pub type Work = <Active as Kernel>::Work;
