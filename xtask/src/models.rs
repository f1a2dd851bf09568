//! The models in the repository: trained from nothing but a data set and a configuration, or exported again from the
//! shipped weights.

use std::fs;
use std::path::PathBuf;

use ancestral::FormatId;
use anyhow::{Context, Result};

use crate::host_train::HostTrain;
use crate::paths;

/// Arguments of `cargo xtask models`.
#[derive(clap::Args)]
pub struct Args {
    /// Train first, instead of taking the weights in models/
    #[arg(long)]
    train: bool,
    /// Only the models of this set
    #[arg(long, value_parser = SETS)]
    only: Option<String>,
}

/// Data sets, one of them for three sizes of network.
const SETS: [&str; 4] = ["digits", "digits-small", "digits-tiny", "ecg"];

/// One shipped model.
struct Shipped {
    set: &'static str,
    steps: u32,
    /// Configuration in `host-train/configs/`, without extension.
    config: &'static str,
    /// Number of steps of the model of the same set that its training starts from.
    from: Option<u32>,
    /// Every number format; else the default one.
    all_formats: bool,
    /// Its weights are shipped too.
    weights: bool,
}

/// The default number format.
const DEFAULT_FORMAT: FormatId = FormatId::W8A16;

/// A model that is trained from random weights.
const fn new(set: &'static str, steps: u32) -> Shipped {
    Shipped {
        set,
        steps,
        config: set,
        from: None,
        all_formats: true,
        weights: true,
    }
}

/// A model of few steps, trained on from that of 64.
const fn few(set: &'static str, config: &'static str, steps: u32) -> Shipped {
    Shipped {
        config,
        from: Some(64),
        all_formats: false,
        weights: false,
        ..new(set, steps)
    }
}

/// The shipped models, each after the one that it starts from.
const MODELS: [Shipped; 10] = [
    new("digits", 64),
    few("digits", "digits-few", 16),
    few("digits", "digits-few", 8),
    few("digits", "digits-few", 4),
    few("digits", "digits-few", 2),
    new("digits-small", 64),
    few("digits-small", "digits-small-few", 8),
    Shipped {
        all_formats: false,
        ..new("digits-tiny", 8)
    },
    new("ecg", 64),
    few("ecg", "ecg-few", 8),
];

/// `cargo xtask models`.
pub fn command(args: &Args) -> Result<()> {
    let host_train = HostTrain::release()?;
    for model in &MODELS {
        if args.only.as_deref().is_none_or(|only| only == model.set) {
            model.make(&host_train, args.train)?;
        }
    }
    println!("now renew the golden vectors and the firmware's output: cargo xtask test --bless");
    Ok(())
}

impl Shipped {
    /// Path of the averaged weights: shipped, or left by training.
    fn weights_path(&self) -> String {
        let (set, steps) = (self.set, self.steps);
        match self.weights {
            true => format!("models/{set}-t{steps}.safetensors"),
            false => format!("{}/weights.safetensors", self.run()),
        }
    }

    /// Folder of the training run.
    fn run(&self) -> String {
        format!("runs/{}-t{}", self.set, self.steps)
    }

    fn make(&self, host_train: &HostTrain, train: bool) -> Result<()> {
        let weights = self.weights_path();
        if train {
            self.train(host_train)?;
        } else if !exists(&weights) {
            println!(
                "{}-t{}: its weights are not shipped; make it with --train",
                self.set, self.steps
            );
            return Ok(());
        }
        for id in FormatId::ALL {
            if self.all_formats || id == DEFAULT_FORMAT {
                let model = format!("models/{}-t{}-{id}.vdm", self.set, self.steps);
                let (command, tuned) = match id.is_integer() {
                    true => ("quantize", &["--finetune"][..]),
                    false => ("export", &[][..]),
                };
                let common = [command, &weights, "--format", id.name(), "--out", &model];
                host_train.run([&common[..], tuned].concat())?;
            }
        }
        Ok(())
    }

    /// Trains, and copies the averaged weights if they are shipped: what the model files are made from, without the
    /// state of the optimizer.
    fn train(&self, host_train: &HostTrain) -> Result<()> {
        let config = format!("host-train/configs/{}.toml", self.config);
        let (run, steps) = (self.run(), self.steps.to_string());
        let mut arguments = vec!["train", &config, "--out", &run, "--chain-steps", &steps];
        let base = self
            .from
            .map(|steps| format!("models/{}-t{steps}.safetensors", self.set));
        if let Some(base) = &base {
            arguments.extend(["--from", base]);
        }
        host_train.run(arguments)?;
        if self.weights {
            let (made, weights) = (format!("{run}/weights.safetensors"), self.weights_path());
            fs::copy(absolute(&made), absolute(&weights))
                .with_context(|| format!("cannot copy {made} to {weights}"))?;
        }
        Ok(())
    }
}

fn absolute(path: &str) -> PathBuf {
    paths::root().join(path)
}

fn exists(path: &str) -> bool {
    absolute(path).is_file()
}
