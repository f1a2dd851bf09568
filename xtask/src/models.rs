//! The models in the repository: trained from nothing but a data set and a configuration, or exported again from the
//! shipped weights.

use std::fs;

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
    /// Only the models of this data set
    #[arg(long, value_parser = SETS)]
    only: Option<String>,
}

/// The data sets, one of them for two sizes of network; each has a configuration of its name in `host-train/configs/`.
const SETS: [&str; 3] = ["digits", "digits-small", "ecg"];

/// Sets and numbers of steps that are trained on from the model of many steps, in the default format; each set has a
/// configuration `<set>-few` for it.
const FEW: [(&str, &[u32]); 2] = [("digits", &[16, 8, 4]), ("ecg", &[8])];
const FEW_FORMAT: &str = "w8a16";

/// `cargo xtask models`.
pub fn command(args: &Args) -> Result<()> {
    let host_train = HostTrain::release()?;
    for set in SETS {
        if args.only.as_deref().is_none_or(|only| only == set) {
            make(&host_train, set, args.train)?;
        }
    }
    for (set, numbers) in FEW {
        if args.only.as_deref().is_none_or(|only| only == set) {
            for &steps in numbers {
                make_few(&host_train, set, steps, args.train)?;
            }
        }
    }
    println!("now renew the golden vectors and the firmware's output: cargo xtask test --bless");
    Ok(())
}

fn weights(set: &str, steps: u32) -> String {
    format!("models/{set}-t{steps}.safetensors")
}

/// Trains, and copies the averaged weights: what the model files are made from, without the state of the optimizer.
fn trained(host_train: &HostTrain, arguments: &[&str], run: &str, weights: &str) -> Result<()> {
    host_train.run([&["train"][..], arguments, &["--out", run]].concat())?;
    let made = format!("{run}/weights.safetensors");
    fs::copy(paths::root().join(&made), paths::root().join(weights))
        .with_context(|| format!("cannot copy {made} to {weights}"))?;
    Ok(())
}

fn make_few(host_train: &HostTrain, set: &str, steps: u32, train: bool) -> Result<()> {
    let own = weights(set, steps);
    if train {
        let config = format!("host-train/configs/{set}-few.toml");
        let arguments = [
            &config,
            "--from",
            &weights(set, 64),
            "--chain-steps",
            &steps.to_string(),
        ];
        trained(host_train, &arguments, &format!("runs/{set}-t{steps}"), &own)?;
    }
    let model = format!("models/{set}-t{steps}-{FEW_FORMAT}.vdm");
    host_train.run(["quantize", &own, "--format", FEW_FORMAT, "--finetune", "--out", &model])
}

fn make(host_train: &HostTrain, set: &str, train: bool) -> Result<()> {
    let weights = weights(set, 64);
    if train {
        let config = format!("host-train/configs/{set}.toml");
        trained(host_train, &[&config], &format!("runs/{set}"), &weights)?;
    }
    for id in FormatId::ALL {
        let format = id.name();
        let model = format!("models/{set}-t64-{format}.vdm");
        let common = [&weights, "--format", format, "--out", &model];
        if id.is_integer() {
            host_train.run([&["quantize"][..], &common, &["--finetune"]].concat())?;
        } else {
            host_train.run([&["export"][..], &common].concat())?;
        }
    }
    Ok(())
}
