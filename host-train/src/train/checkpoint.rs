//! Checkpoints: safetensors files with parameters, optimizer state, generator and configuration.
//!
//! Two kinds share the format. A *training* checkpoint holds everything that a run continues from, bit for bit,
//! and the best averages so far if there are validation rows. A *weights* file holds only the final averages, a quarter
//! of the size; it can be exported but not resumed.

pub mod file;
mod load;
mod save;
pub mod set_aside;

pub use super::run::Run;
pub use file::{CHECKPOINT, WEIGHTS};
pub use set_aside::put_aside;
