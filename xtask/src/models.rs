//! The models in the repository: trained from nothing but a data set and a configuration, or exported again from the shipped weights.

use std::fs;

use anyhow::{Context, Result};

use crate::host_train::HostTrain;
use crate::paths;

/// What `cargo xtask models` takes.
#[derive(clap::Args)]
pub struct Args {
    /// Train first, instead of taking the weights in models/
    #[arg(long)]
    train: bool,
    /// Only the models of this data set
    #[arg(long, value_parser = SETS)]
    only: Option<String>,
}

/// The data sets; each has a configuration of its name in `host-train/configs/`.
const SETS: [&str; 2] = ["digits", "ecg"];

/// The number formats, and whether they are quantised.
const FORMATS: [(&str, bool); 5] = [
    ("f32", false),
    ("f16", false),
    ("w8a16", true),
    ("w8a8", true),
    ("w4a8", true),
];

/// `cargo xtask models`.
pub fn command(args: &Args) -> Result<()> {
    let host_train = HostTrain::release()?;
    for set in SETS {
        if args.only.as_deref().is_none_or(|only| only == set) {
            make(&host_train, set, args.train)?;
        }
    }
    println!("now renew the golden vectors and the firmware's output: cargo xtask test --bless");
    Ok(())
}

fn make(host_train: &HostTrain, set: &str, train: bool) -> Result<()> {
    let weights = format!("models/{set}-t64.safetensors");
    if train {
        let run = format!("runs/{set}");
        let config = format!("host-train/configs/{set}.toml");
        host_train.run(["train", &config, "--out", &run])?;
        // The averaged weights: what the model files are made from, without the state of the optimiser.
        let made = format!("{run}/weights.safetensors");
        fs::copy(paths::root().join(&made), paths::root().join(&weights))
            .with_context(|| format!("cannot copy {made} to {weights}"))?;
    }
    for (format, quantised) in FORMATS {
        let model = format!("models/{set}-t64-{format}.vdm");
        let common = [&weights, "--format", format, "--out", &model];
        if quantised {
            host_train.run([&["quantize"][..], &common, &["--finetune"]].concat())?;
        } else {
            host_train.run([&["export"][..], &common].concat())?;
        }
    }
    Ok(())
}
