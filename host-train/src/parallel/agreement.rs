//! Agreement of all ranks on an error: all of them stop, and one of them prints the reason.

use super::group::Group;
use anyhow::Result;

/// Error of a rank that stops because another rank failed. The other rank prints the reason.
#[derive(Debug, thiserror::Error)]
#[error("another rank failed")]
pub struct ReportedByOtherRank;

/// Fails on every rank if it has failed on one. The first rank that failed keeps its reason.
pub fn agree<T>(group: &dyn Group, local: Result<T>) -> Result<T> {
    let failed = group.gather(u64::from(local.is_err()));
    match failed.iter().position(|failed| *failed != 0) {
        None => local,
        Some(first) if first == group.rank() => local,
        Some(_) => Err(ReportedByOtherRank.into()),
    }
}

/// Leaves the reason of an error that every rank has to the leader.
pub fn leader_reports<T>(group: &dyn Group, result: Result<T>) -> Result<T> {
    match result {
        Err(_) if !group.leads() => Err(ReportedByOtherRank.into()),
        result => result,
    }
}
