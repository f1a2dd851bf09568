//! Seeded random numbers for training, and the share of a batch that a process draws them for.

pub mod counter;
pub mod purpose;
pub mod share;
pub mod source;
pub mod train_rng;
mod uniform;

pub use counter::Counter;
pub use purpose::Purpose;
pub use share::Share;
pub use source::RandomSource;
pub use train_rng::TrainRng;
