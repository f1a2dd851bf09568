//! The read-out G_t: how the argument u = skip·z + out·f becomes the estimate x̂.
//!
//! For a model that predicts log-odds of [`levels`](crate::levels), G_t is a table per step with linear interpolation.
//! It is odd and depends on |u| in [0, 8). The range is cut into 32 cells, and each cell into as many equal intervals,
//! a power of two, as G_t needs there.

#[cfg(feature = "alloc")]
mod build;
mod table;

#[cfg(feature = "alloc")]
pub use build::{ReadOutSpec, build_tables};
pub use table::{CELLS, LevelTable, ReadOut, ReadOuts, TABLE_ALIGNMENT};
