//! Keeping the files of an earlier run.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// Moves the files of an earlier run into the first free folder `previous-N` inside `folder`. So nothing is lost, and
/// nothing is mistaken for a file of a later run. Returns that folder, or `None` if there were no files.
pub fn put_aside(folder: &Path, names: &[&str]) -> Result<Option<PathBuf>> {
    let old: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| folder.join(name).exists())
        .collect();
    if old.is_empty() {
        return Ok(None);
    }
    let mut number = 1u32;
    let mut target = folder.join(format!("previous-{number}"));
    while target.exists() {
        number += 1;
        target = folder.join(format!("previous-{number}"));
    }
    std::fs::create_dir(&target).with_context(|| format!("cannot make the folder {}", target.display()))?;
    for name in old {
        std::fs::rename(folder.join(name), target.join(name))
            .with_context(|| format!("cannot move the earlier {} out of the way", folder.join(name).display()))?;
    }
    Ok(Some(target))
}
