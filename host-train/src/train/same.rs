//! Checks that all ranks have the same run.
//!
//! Ranks that read different files or whose weights diverge are detected and reported.

use super::run::Run;
use crate::data::Split;
use crate::parallel::{Group, agree, leader_reports};
use anyhow::{Result, anyhow};
use std::hash::{DefaultHasher, Hasher as _};

/// Checks that all ranks start with the same run and the same data, because each has read its own files.
pub fn check_same_start(group: &dyn Group, run: &Run, split: &Split) -> Result<()> {
    let local = fingerprint(run).map(|mut hasher| {
        let rows = split.train.rows.iter().chain(&split.validation.rows);
        rows.for_each(|v| hasher.write_u32(v.to_bits()));
        hasher.finish()
    });
    check_same(group, local, |rank| {
        format!(
            "rank {rank} has another configuration, checkpoint or data than rank 0: give all of them the same \
             files, on a disk that they share"
        )
    })
}

/// Checks that all ranks still have the same run, because each makes its own updates from the same sums.
pub fn check_same_run(group: &dyn Group, run: &Run) -> Result<()> {
    if group.size() == 1 {
        return Ok(());
    }
    let step = run.optimizer.step;
    check_same(group, fingerprint(run).map(|hasher| hasher.finish()), |rank| {
        format!(
            "rank {rank} has other weights than rank 0 at step {step}, which cannot happen on equal machines: go on \
             with --resume on machines of one kind"
        )
    })
}

fn check_same(group: &dyn Group, local: Result<u64>, sentence: impl Fn(usize) -> String) -> Result<()> {
    let all = group.gather(agree(group, local)?);
    let differs = all.iter().position(|word| Some(word) != all.first());
    leader_reports(group, differs.map_or(Ok(()), |rank| Err(anyhow!(sentence(rank)))))
}

/// Hashes configuration, generator, weights and moments.
fn fingerprint(run: &Run) -> Result<DefaultHasher> {
    let mut hasher = DefaultHasher::new();
    hasher.write(run.config.to_toml()?.as_bytes());
    hasher.write(serde_json::to_string(&run.rng)?.as_bytes());
    hasher.write_u64(run.optimizer.step);
    for slot in &run.optimizer.slots {
        let values: Vec<f32> = slot.state.flatten_all()?.to_vec1()?;
        values.iter().for_each(|v| hasher.write_u32(v.to_bits()));
    }
    Ok(hasher)
}
