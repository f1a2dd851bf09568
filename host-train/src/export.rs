//! From a checkpoint to a model file: the step's embedding is folded into biases, the schedule becomes a table, and the
//! numbers are rounded ([`mod@quantize`]).

pub mod fold;
pub mod half;
pub mod quantize;
pub mod recipe;
pub mod score;
pub mod source;

pub use fold::{float_spec, spec_with};
pub use recipe::{Exported, Recipe, export};
