//! Trains a variational diffusion model, quantizes it, exports it for the `ancestral` runtime, and evaluates what was exported.
//!
//! The way of the data: [`data`] → [`train`](mod@train) (the [`network`], its [`gamma`] table, the [`loss`], the [`optimizer`]) →
//! [`checkpoint`] → [`export`] ([`mod@export::quantize`]) → a `.vdm` file → [`runtime`] (the core, unchanged) → [`mod@evaluate`], [`sample`], [`report`].
//!
//! Nothing of the core is written again here: step constants, file layout, noise and every evaluation of an exported model are
//! the core's own, so the desktop's numbers are the device's numbers.

#![deny(unsafe_code)]

pub mod bench;
pub mod data;
pub mod export;
pub mod files;
pub mod fused;
pub mod model;
pub mod optimizer;
pub mod parallel;
pub mod report;
pub mod rng;
pub mod runtime;
pub mod study;
pub mod sweep;
pub mod train;
