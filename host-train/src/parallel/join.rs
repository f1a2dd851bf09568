//! Selection of the group that this process belongs to.

use super::group::{Group, SingleProcess};
use anyhow::Result;

/// Joins the processes that MPI has started with this one, or returns the group of this process alone.
pub fn join_group(mpi: bool) -> Result<Box<dyn Group>> {
    match mpi {
        false => Ok(Box::new(SingleProcess)),
        true => join_mpi(),
    }
}

#[cfg(feature = "mpi")]
fn join_mpi() -> Result<Box<dyn Group>> {
    Ok(Box::new(super::mpi::World::start()?))
}

#[cfg(not(feature = "mpi"))]
fn join_mpi() -> Result<Box<dyn Group>> {
    anyhow::bail!("this program was built without MPI: build it with --features mpi (docs/mpi.md), or leave out --mpi")
}
