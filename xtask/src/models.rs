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
    /// Configurations in `host-train/configs/`, without extension, each trained on from the one before.
    configs: &'static [&'static str],
    /// Number of steps of the model of the same set that training starts from.
    from: Option<u32>,
    /// Every number format; else the default one.
    all_formats: bool,
    /// Its weights are shipped too. Those of the largest network would take more room than all of its few-step models.
    weights: bool,
}

/// The default number format.
const DEFAULT_FORMAT: FormatId = FormatId::W8A16;

/// A model that is trained from random weights.
const fn new(set: &'static str, steps: u32, configs: &'static [&'static str]) -> Shipped {
    Shipped {
        set,
        steps,
        configs,
        from: None,
        all_formats: true,
        weights: true,
    }
}

/// A model of few steps, trained on from that of 64.
const fn few(set: &'static str, steps: u32, configs: &'static [&'static str]) -> Shipped {
    Shipped {
        from: Some(64),
        all_formats: false,
        weights: false,
        ..new(set, steps, configs)
    }
}

/// The shipped models, each after the one that it starts from.
const MODELS: [Shipped; 10] = [
    Shipped {
        weights: false,
        ..new("digits", 64, &["digits", "digits-few"])
    },
    few("digits", 16, &["digits-few"]),
    few("digits", 8, &["digits-few"]),
    few("digits", 4, &["digits-few"]),
    few("digits", 2, &["digits-few"]),
    new("digits-small", 64, &["digits-small", "digits-small-few"]),
    few("digits-small", 8, &["digits-small-few"]),
    Shipped {
        all_formats: false,
        weights: false,
        ..new("digits-tiny", 8, &["digits-tiny"])
    },
    new("ecg", 64, &["ecg"]),
    few("ecg", 8, &["ecg-few"]),
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
        match (self.weights, self.configs.last()) {
            (false, Some(config)) => format!("{}/weights.safetensors", self.run(config)),
            _ => format!("models/{set}-t{steps}.safetensors"),
        }
    }

    /// Folder of the training run of a configuration.
    fn run(&self, config: &str) -> String {
        format!("runs/{config}-t{}", self.steps)
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
        for &id in FormatId::ALL {
            if self.all_formats || id == DEFAULT_FORMAT {
                let model = format!("models/{}-t{}-{id}.vdm", self.set, self.steps);
                let (command, tuned) = match id {
                    // Calibration alone leaves nothing to gain.
                    DEFAULT_FORMAT => ("quantize", &[][..]),
                    id if id.is_integer() => ("quantize", &["--finetune"][..]),
                    _ => ("export", &[][..]),
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
        let mut base = self.from.and_then(|steps| {
            let start = MODELS
                .iter()
                .find(|model| (model.set, model.steps) == (self.set, steps));
            start.map(Self::weights_path)
        });
        for config in self.configs {
            let (run, steps) = (self.run(config), self.steps.to_string());
            let path = format!("host-train/configs/{config}.toml");
            let mut arguments = vec!["train", &path, "--out", &run, "--chain-steps", &steps];
            if let Some(base) = &base {
                arguments.extend(["--from", base]);
            }
            host_train.run(arguments)?;
            base = Some(format!("{run}/weights.safetensors"));
        }
        if let (true, Some(made)) = (self.weights, base) {
            let weights = self.weights_path();
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
