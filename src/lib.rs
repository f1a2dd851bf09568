#![no_std]
#![deny(missing_docs)]
#![deny(unsafe_code)]
//! Variational diffusion models on a microcontroller: sampling and the ELBO of a quantized MLP denoiser, without a
//! heap, without a panic on data, and with the same bits on every machine. In the integer formats the network and the
//! sampler compute with integers alone; the ELBO adds up its terms in `f32`.
//!
//! # The model
//!
//! A variational diffusion model (Kingma et al. 2021) destroys a row of data x by a fixed Gaussian chain z_0, z_1, …,
//! z_T of the same dimension, and learns to walk the chain backward. One number per step, `γ_t = −log SNR`, sets the
//! amount of noise at t; [`schedule`] turns the list of γ into every constant. One step backward is two lines:
//!
//! ```text
//! x̂   = G_t(skip_t·z_t + out_t·f(z_t, t))       f: the network, G_t: the read-out
//! z_s = keep_t·z_t + pull_t·x̂ + spread_t·n      n ~ N(0, I), s = t − 1
//! ```
//!
//! The schedule is static, so whatever depends on t is a table in the model file. These are the constants above, the
//! read-out, and a bias per step in the network's layers. The device computes products, sums and normals, and looks up
//! tables.
//!
//! # The read-out
//!
//! For data of levels (ADC counts, gray levels, bits) much of denoising is arithmetic: given z_t, Bayes' rule says how
//! likely each level is. [`levels`] has the exact formula. The network only adds what the other dimensions tell: the
//! log-odds of each level against the one below. [`read_out`] gives the posterior mean by a table per step. It stays
//! between the end levels and is differentiable, so training uses the exact formula. Models that predict v or x have
//! the identity, or the clip to [−1, 1] if the file says so.
//!
//! # The decoder
//!
//! The chain ends in z_0, which is still noisy. The network decoder calls the same network once more, at t = 0. That
//! gives p(x | z_0): the probability of every level, or a Gaussian around x̂(z_0, 0) for continuous data. **A sample
//! and an ELBO then cost T + 1 calls of the network** ([`Sampler::calls`]). In return the chain may end at more noise,
//! so few steps suffice. A value is drawn, or the most likely one is taken ([`decoder::Decoding`]). The factorized
//! decoder reads each value from its own z_0 alone, in T calls.
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
//! # Modules
//!
//! Each module uses only those above it.
//!
//! * [`fixed`] – fixed-point formats: rounding, saturation, requantization.
//! * [`real`] – real numbers in which the formulas are written.
//! * [`levels`] – the posterior of a data level.
//! * [`schedule`] – γ → kernel q(z_t | x), chain q(z_t | z_s), posterior q(z_s | z_t, x), step constants.
//! * [`noise`] – the standard normal from one 32-bit word.
//! * [`read_out`] – from the argument to the estimate x̂.
//! * [`number`] – the arithmetic of the two lines, for `f32` and for Q3.12.
//! * [`kernel`] – inner products, specialized for each core.
//! * [`format`](mod@format) – the number formats as types: [`F32`], [`F16`], [`W8A16`], [`W8A8`], [`W4A8`].
//! * [`reverse_variance`] – a reverse variance that differs between dimensions.
//! * [`level_draw`] – drawing a level in integers.
//! * [`decoder`] – p(x | z_0): levels or Gaussian, factorized or by the network.
//! * [`model`] – the `.vdm` file: layout, checks, [`include_model!`], the writer (feature `alloc`).
//! * [`storage`] – memory for the buffers: inline arrays, or the heap.
//! * [`denoiser`] – the trait for networks of your own; [`mlp`] – the network that ships.
//! * [`steps`] – other steps of the same model, made at run time; η.
//! * [`sampler`] – the ancestral chain: [`Sampler`].
//! * [`likelihood`] – the ELBO: [`Likelihood`].
//! * [`contributions`] – the ELBO divided among the dimensions of a row.
//! * [`batch`] – several chains at once: [`BatchSampler`].
//!
//! # Features
//!
//! All features are off by default and additive.
//!
//! * `alloc`: buffers on the heap ([`storage`]`::Heap`) and the model writer.
//! * `std`: turns on `alloc`, and on x86-64 a kernel that detects AVX2 at run time.
//! * `defmt`: `defmt::Format` for errors and results.
//! * `kernel-portable`, `kernel-dsp`, `kernel-helium`, `kernel-armv6m`, `kernel-rv32im`: override the [`kernel`] that
//!   the build script picks for the target. At most one of the last four; `kernel-portable` wins over all.
//!
//! `default` is the empty set.
//!
//! # Untrusted model files
//!
//! [`Model::parse`](model::Model::parse) checks magic, version, length, CRC-32, every offset, every layer's shape and
//! every requantization before anything is computed. A file that passes may still be nonsense, but it cannot make this
//! crate panic, read outside the file or run without end: the time of a sample is bounded by the header's sizes, which
//! the caller can look at first ([`model::Header::read`]). The CRC detects accidents, not attackers: if a file's origin
//! matters, verify a signature before parsing. [`include_model!`] runs the same checks while the program compiles.
//!
//! # Minimum supported Rust version
//!
//! Rust 1.90. A higher one is a minor version of this crate.

#[cfg(target_endian = "big")]
compile_error!(
    "ancestral uses model files where they lie, and they are little-endian: big-endian targets are not supported"
);

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

pub mod batch;
pub mod contributions;
pub mod decoder;
pub mod denoiser;
pub mod fixed;
pub mod format;
mod include;
pub mod kernel;
pub mod level_draw;
pub mod levels;
pub mod likelihood;
pub mod mlp;
pub mod model;
pub mod noise;
pub mod number;
pub mod read_out;
pub mod real;
pub mod reverse_variance;
pub mod sampler;
pub mod schedule;
pub mod steps;
pub mod storage;

pub use batch::BatchSampler;
pub use bytemuck;
pub use denoiser::Denoiser;
pub use format::{Format, FormatId};
pub use likelihood::{Elbo, Likelihood};
pub use model::{Model, ModelError};
pub use number::{Number, Q3_12};
pub use rand_core;
pub use sampler::Sampler;

macro_rules! reexport_formats {
    ($($(#[$doc:meta])* $format:ident = $code:literal, $name:literal, $kind:ident;)*) => {
        pub use format::{$($format),*};
    };
}
for_each_format!(reexport_formats);
