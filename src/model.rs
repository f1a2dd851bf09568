//! The model file (`.vdm`): little-endian, versioned, checked by CRC-32, used where it lies.
//!
//! Two ways in, one parser: [`include_model!`](crate::include_model) runs the checks of [`Model::parse`] while the
//! firmware compiles (a bad file does not compile), and [`Model::parse`] runs them on the device or the desktop.
//! Neither copies anything. `docs/model-format.md` specifies every byte.

mod aligned;
#[cfg(feature = "alloc")]
mod ends;
mod error;
mod header;
mod include;
mod layer;
pub mod layout;
mod parse;
#[cfg(feature = "alloc")]
mod spec;
mod table;
mod view;
#[cfg(feature = "alloc")]
mod write;

pub use aligned::Aligned;
#[cfg(feature = "alloc")]
pub use aligned::AlignedBytes;
#[cfg(feature = "alloc")]
pub use ends::DEVIATION_TOLERANCE;
pub use error::ModelError;
pub use header::Header;
pub use include::StaticModel;
#[doc(hidden)]
pub use include::{peek_dim, peek_width};
pub use layer::{Finish, Layer};
#[cfg(feature = "alloc")]
pub use spec::{DecoderSpec, LayerSpec, ModelHead, ModelSpec, SpecError, VarianceSpec};
pub use table::StepTable;
pub use view::Model;
