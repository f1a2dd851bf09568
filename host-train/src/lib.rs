//! Trains a variational diffusion model, quantizes it, exports it for the `ancestral` runtime, and evaluates the
//! result.
//!
//! The path of the data: [`data`] → [`mod@train`] (the [`model`], its loss, the [`optimizer`]) → [`export`] → a `.vdm`
//! file → [`runtime`] (the core, unchanged) → [`report`]. [`mod@fit`] is all of it as one function; [`study`] chooses
//! the steps of a trained network.
//!
//! Training minimizes the ELBO of what will run: the read-out and the decoder are part of the loss. Rows that are set
//! aside for validation decide which weights are kept and which variances the steps have. Held-out rows only report.
//!
//! Nothing of the core is written again here but what needs gradients: the read-out and the terms of the ELBO, which
//! tests compare with the core's. Step constants, file layout, tables and every evaluation of an exported model are the
//! core's own, so the desktop's numbers are the device's numbers.

#![deny(unsafe_code)]

pub mod bench;
pub mod data;
pub mod export;
pub mod files;
pub mod fit;
pub mod fused;
pub mod model;
pub mod optimizer;
pub mod parallel;
pub mod progress;
pub mod report;
pub mod rng;
pub mod runtime;
pub mod study;
pub mod sweep;
pub mod train;
