//! One run on several processes.

pub mod group;
#[cfg(feature = "mpi")]
pub mod mpi;
pub mod watch;

pub use group::{Alone, Elsewhere, Group, agreed, group, once};
