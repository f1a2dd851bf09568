//! Seeded random numbers for training, and the share of a batch that a process draws them for.

pub mod counter;
pub mod share;
pub mod train_rng;
mod uniform;

pub use counter::{Counter, Purpose};
pub use share::Share;
pub use train_rng::TrainRng;
