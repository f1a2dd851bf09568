//! The learned schedule: a monotone table of γ whose end points are parameters.

mod curve;
mod ends;
mod monotone;
mod table;

pub use curve::CurveKind;
pub use ends::{GammaBounds, LEAST_DISTANCE, LEAST_SPAN, MOST_FIRST, MOST_LAST};
pub use table::GammaTable;
