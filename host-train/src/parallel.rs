//! One run on several processes.

pub mod agreement;
pub mod group;
pub mod join;
#[cfg(feature = "mpi")]
pub mod mpi;
pub mod watch;

pub use agreement::{ReportedByOtherRank, agree, leader_reports};
pub use group::{Group, SingleProcess};
pub use join::join_group;
