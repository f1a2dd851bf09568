//! From a float model to one of the integer formats.
//!
//! [`calibrate()`] runs the float model along whole chains ([`states`], [`moments`]). It chooses a unit for each row of
//! weights and one for the hidden activations so that the ELBO loses least, and rounds with feedback ([`rounding`]).
//! [`finetune`](mod@finetune) goes on from there: it trains the integer network to give the float network's outputs.
//! [`integers`] is the only place where real numbers become a file's integers; [`proof`] refuses models that a format
//! cannot run.

pub mod assemble;
pub mod calibrate;
pub mod costs;
pub mod finetune;
pub mod formats;
pub mod integers;
pub mod model;
pub mod moments;
pub mod proof;
pub mod rounding;
pub mod states;
pub mod teacher;

pub use assemble::{assemble, with_layers};
pub use calibrate::calibrate;
pub use model::{QuantizedModel, Summary, quantize_model};
