//! The models in the repository, made from nothing but the data set and a configuration.

use std::fs;

use anyhow::{Context, Result};

use crate::host_train::HostTrain;
use crate::paths;

/// `cargo xtask models`.
pub fn command() -> Result<()> {
    let host_train = HostTrain::release()?;
    host_train.run(["train", "host-train/configs/digits.toml", "--out", "runs/digits"])?;
    for format in ["f32", "w8a16"] {
        let model = format!("models/digits-t64-{format}.vdm");
        host_train.run(["export", "runs/digits", "--format", format, "--out", &model])?;
        println!("{model}");
    }
    // The averaged weights: what the model files were made from, without the state of the optimiser.
    let checkpoint = "models/digits-t64.safetensors";
    fs::copy(
        paths::root().join("runs/digits/weights.safetensors"),
        paths::root().join(checkpoint),
    )
    .with_context(|| format!("cannot copy runs/digits/weights.safetensors to {checkpoint}"))?;
    println!("{checkpoint}");
    println!("now renew the firmware's golden output: cargo xtask test --bless");
    Ok(())
}
