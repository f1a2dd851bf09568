//! The learned schedule: a monotone table of γ whose end points are parameters.

mod curve;
mod monotone;
mod table;

pub use curve::CurveKind;
pub use table::GammaTable;
