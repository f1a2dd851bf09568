//! Number formats, each a type: [`F32`], [`F16`], [`W8A16`], [`W8A8`], [`W4A8`].
//!
//! A format defines what a weight, a bias and an activation are, how a layer's sums are made, and how a sum becomes an
//! activation or an output. The sampler, the ELBO and the walk through the layers are written once over [`Format`].
//! `docs/numerics.md` specifies the arithmetic of each; [`for_each_format!`](crate::for_each_format) is the list of
//! all.

mod a8;
mod finish;
mod float;
mod id;
mod interface;
mod w8a16;

pub use a8::{A8, W4A8, W8A8};
pub use float::{F16, F32};
pub use id::FormatId;
pub use interface::{Format, FormatCaps, Input, RequantKind, RowFinish, RowFinishes};
pub use w8a16::W8A16;
