//! Checks that all ranks have the same run.

use super::checkpoint::Run;
use crate::data::Dataset;
use crate::parallel::{Group, agreed, once};
use anyhow::{Result, anyhow};
use std::hash::{DefaultHasher, Hasher as _};

/// Checks that all ranks begin with the same run and the same data: each has read files of its own.
pub fn check_same_start(group: &dyn Group, run: &Run, data: &Dataset) -> Result<()> {
    let own = fingerprint(run).map(|mut hasher| {
        data.rows.iter().for_each(|v| hasher.write_u32(v.to_bits()));
        hasher.finish()
    });
    check_same(group, own, |rank| {
        format!(
            "rank {rank} has another configuration, checkpoint or data than rank 0: give all of them the same files, on a disk that they share"
        )
    })
}

/// Checks that all ranks still have the same run: each makes its own updates from the same sums.
pub fn check_same_run(group: &dyn Group, run: &Run) -> Result<()> {
    if group.size() == 1 {
        return Ok(());
    }
    let step = run.optimizer.step;
    check_same(group, fingerprint(run).map(|hasher| hasher.finish()), |rank| {
        format!(
            "rank {rank} has other weights than rank 0 at step {step}, which equal machines cannot have: go on with --resume on machines of one kind"
        )
    })
}

fn check_same(group: &dyn Group, own: Result<u64>, sentence: impl Fn(usize) -> String) -> Result<()> {
    let all = group.gather(agreed(group, own)?);
    let differs = all.iter().position(|word| Some(word) != all.first());
    once(group, differs.map_or(Ok(()), |rank| Err(anyhow!(sentence(rank)))))
}

/// Of configuration, generator, weights and moments: a word that differs where they do.
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
