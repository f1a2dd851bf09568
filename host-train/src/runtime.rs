//! The core on the desktop: exported models read, scored, sampled and compared.

pub mod compare;
pub mod distance;
pub mod evaluate;
pub mod model_file;
pub mod sample;
