#![no_std]
#![deny(missing_docs)]
#![deny(unsafe_code)]
//! Variational diffusion models on a microcontroller: sampling and the ELBO of a quantised MLP denoiser, without a heap, without a
//! panic on data, and with the same bits on every machine. In the integer formats the network and the sampler compute with integers alone; the
//! ELBO adds up its terms in `f32`.
//!
//! # The model
//!
//! A variational diffusion model (Kingma et al. 2021) destroys a row of data x by a fixed Gaussian chain z_0, z_1, …, z_T of the
//! same dimension, and learns to walk the chain backwards. How much noise there is at t is said by one number, `γ_t = −log SNR`;
//! [`schedule`] turns the list of γ into every constant there is. One step backwards is two lines:
//!
//! ```text
//! x̂   = skip_t·z_t + out_t·f(z_t, t)              f: the network
//! z_s = keep_t·z_t + pull_t·x̂ + spread_t·n        n ~ N(0, I), s = t − 1
//! ```
//!
//! The schedule is static, so whatever depends on t is a table in the model file: the constants above, and a bias per step in
//! the network's layers. The device computes products, sums and normals, nothing else.
//!
//! # The rooms
//!
//! Arrows point at what is used: `kernel ← mlp ← sampler, likelihood`.
//!
//! * [`fixed`] – Q-formats, rounding, saturation, requantisation: what the integers mean.
//! * [`number`] – the arithmetic of the two lines, for `f32` and for Q3.12.
//! * [`schedule`] – γ → kernel q(z_t | x), chain q(z_t | z_s), posterior q(z_s | z_t, x), step constants.
//! * [`shape`] – the reverse variance where it differs between dimensions.
//! * [`noise`] – the standard normal from one 32-bit word.
//! * [`model`] – the `.vdm` file: layout, checks, [`include_model!`], the writer (feature `alloc`).
//! * [`format`](mod@format) – the number formats as types: [`F32`], [`F16`], [`W8A16`], [`W8A8`], [`W4A8`].
//! * [`kernel`] – inner products.
//! * [`mlp`] – the network; [`denoiser`] – the trait it implements, for networks of your own.
//! * [`sampler`] – the ancestral chain: [`Sampler`].
//! * [`batch`] – several chains at once: [`BatchSampler`].
//! * [`steps`] – other steps of the same model, made at run time; η.
//! * [`likelihood`] – the ELBO: [`Likelihood`].
//! * [`decoder`] – p(x | z_0): levels or Gaussian.
//! * [`storage`] – where the buffers live: inline arrays, or the heap.
//!
//! # A firmware's worth of code
//!
//! ```
//! use ancestral::{Sampler, W8A16};
//! use rand_xoshiro::{Xoshiro128PlusPlus, rand_core::SeedableRng};
//!
//! ancestral::include_model!(DIGITS: W8A16 = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-t64-w8a16.vdm"));
//!
//! let mut rng = Xoshiro128PlusPlus::seed_from_u64(7);
//! let mut sampler = Sampler::new(&DIGITS);
//! for row in sampler.sample(&mut rng).chunks(8) {
//!     println!("{row:2?}");
//! }
//! ```
//!
//! # Features
//!
//! None is on by default, and each only adds. `alloc`: buffers on the heap and the model writer. `std`: implies `alloc`, and on x86-64
//! looks while the program runs whether there is AVX2.
//! `defmt`: `defmt::Format` for errors and results.

#[cfg(target_endian = "big")]
compile_error!(
    "ancestral uses model files where they lie, and they are little-endian: big-endian targets are not supported"
);

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

pub mod batch;
pub mod decoder;
pub mod denoiser;
pub mod fixed;
pub mod format;
pub mod kernel;
pub mod likelihood;
pub mod mlp;
pub mod model;
pub mod noise;
pub mod number;
pub mod sampler;
pub mod schedule;
pub mod shape;
pub mod steps;
pub mod storage;

pub use batch::BatchSampler;
pub use bytemuck;
pub use denoiser::Denoiser;
pub use format::{Format, FormatId};
pub use likelihood::{Elbo, Likelihood};
pub use mlp::{F16, F32, W4A8, W8A8, W8A16};
pub use model::{Model, ModelError};
pub use number::{Number, Q3_12};
pub use rand_core;
pub use sampler::Sampler;
