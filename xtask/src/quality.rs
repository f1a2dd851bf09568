//! One table of sample quality: model files beside real digits and mixtures of Gaussians.
//!
//! `host-train` draws, scores and measures distances; [`python`] runs what needs scikit-learn (`tools/quality.py`).

mod python;
mod table;

use std::cmp::Reverse;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::host_train::HostTrain;
use crate::paths;

use python::Python;
use table::{Measured, Parts, Row};

pub use python::test as test_python;

/// Arguments of `cargo xtask quality`.
#[derive(clap::Args)]
pub struct Args {
    /// Model files of digits [default: all models/digits-*.vdm in f32 and w8a16]
    models: Vec<PathBuf>,
    /// Number of samples of each model and mixture
    #[arg(long, default_value_t = 1000)]
    count: u32,
    /// Seed of the models' samples
    #[arg(long, default_value_t = 7)]
    seed: u64,
}

/// Formats of the models in the table unless others are named.
const FORMATS: [&str; 2] = ["f32", "w8a16"];
/// Labeled digits that the judge learns from.
const JUDGE: &str = "data/optdigits-train.csv.gz";
/// Built-in sets of digits, which the judge knows.
const DIGITS: [&str; 2] = ["digits", "optdigits"];

/// `cargo xtask quality`.
pub fn command(args: &Args) -> Result<()> {
    let python = Python::ensure()?;
    let host_train = HostTrain::release()?;
    let models = match args.models.is_empty() {
        true => shipped()?,
        false => args.models.iter().map(|path| absolute(path)).collect::<Result<_>>()?,
    };
    for (folder, parts, models) in by_data(&host_train, models)? {
        let rows = measure(&host_train, &python, (&folder, &models), args)?;
        println!("{}", table::table(&parts, &rows));
    }
    print!("{}", table::notes(args.count));
    Ok(())
}

/// Returns the shipped models of digits in the formats of the table, the same numbers of steps together.
fn shipped() -> Result<Vec<PathBuf>> {
    let folder = paths::root().join("models");
    let cannot_read = || format!("cannot read {}", paths::shown(&folder));
    let mut models = Vec::new();
    for entry in fs::read_dir(&folder).with_context(cannot_read)? {
        let path = entry.with_context(cannot_read)?.path();
        let name = stem(&path);
        let listed = FORMATS.iter().any(|format| name.ends_with(&format!("-{format}")));
        if listed && name.starts_with("digits-") && path.extension().is_some_and(|end| end == "vdm") {
            models.push(path);
        }
    }
    models.sort_by_key(|path| by_steps(&stem(path)));
    Ok(models)
}

/// Order of `<set>-t<steps>-<format>`: each set's models of many steps come first.
fn by_steps(name: &str) -> (String, Reverse<u32>, String) {
    let parts = name.rsplit_once("-t").and_then(|(set, rest)| {
        let (steps, format) = rest.split_once('-')?;
        Some((set.to_owned(), Reverse(steps.parse().ok()?), format.to_owned()))
    });
    parts.unwrap_or((name.to_owned(), Reverse(0), String::new()))
}

/// `host-train` runs in the root of the workspace, the user may be elsewhere.
fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("the path {} cannot be used", path.display()))
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Models that were made from the same rows, with the folder of these rows.
type Group = (PathBuf, Parts, Vec<PathBuf>);

/// Writes the rows of every model's data, and puts models of the same data together.
fn by_data(host_train: &HostTrain, models: Vec<PathBuf>) -> Result<Vec<Group>> {
    let mut groups: Vec<Group> = Vec::new();
    for model in models {
        let made = paths::target().join("quality/rows");
        fs::create_dir_all(&made).with_context(|| format!("cannot make {}", paths::shown(&made)))?;
        let parts = write_rows(host_train, &model, &made)?;
        if let Some((_, _, members)) = groups.iter_mut().find(|(_, known, _)| *known == parts) {
            members.push(model);
            continue;
        }
        let folder = paths::target().join("quality").join(parts.name());
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", paths::shown(&folder)))?;
        }
        fs::rename(&made, &folder).with_context(|| format!("cannot make {}", paths::shown(&folder)))?;
        groups.push((folder, parts, vec![model]));
    }
    Ok(groups)
}

/// Writes `train.csv`, `validation.csv` and `test.csv`.
fn write_rows(host_train: &HostTrain, model: &Path, folder: &Path) -> Result<Parts> {
    let mut data = String::new();
    let mut rows = [0; 3];
    for (part, count) in ["train", "validation", "test"].iter().zip(&mut rows) {
        let out = folder.join(format!("{part}.csv"));
        let arguments = [
            "rows".as_ref(),
            model.as_os_str(),
            "--part".as_ref(),
            part.as_ref(),
            "--json".as_ref(),
        ];
        let told = json(&host_train.capture([&arguments[..], &["--out".as_ref(), out.as_os_str()]].concat())?)?;
        data = told["data"].as_str().unwrap_or_default().to_owned();
        *count = told["rows"]
            .as_u64()
            .context("host-train rows has told no number of rows")?;
    }
    ensure!(
        DIGITS.contains(&data.as_str()),
        "{} was made from {data}: only models of {} have a judge",
        paths::shown(model),
        DIGITS.join(" and ")
    );
    Ok(Parts { data, rows })
}

/// Measures the rows of one table: real digits, mixtures, models.
fn measure(
    host_train: &HostTrain,
    python: &Python,
    (folder, models): (&Path, &[PathBuf]),
    args: &Args,
) -> Result<Vec<Row>> {
    let count = args.count.to_string();
    let mut rows = vec![
        Row::real("real, held-out rows", folder.join("test.csv")),
        Row::real("real, training rows", folder.join("train.csv")),
    ];
    eprintln!("mixtures of Gaussians: about two minutes");
    let tool = [
        "mixtures".as_ref(),
        folder.as_os_str(),
        "--count".as_ref(),
        count.as_ref(),
    ];
    for mixture in list(&python.capture("quality.py", tool)?)? {
        rows.push(Row::mixture(&mixture)?);
    }
    for (index, model) in models.iter().enumerate() {
        // Files of two folders may have the same name.
        let file = folder.join(format!("{index}-{}.csv", stem(model)));
        host_train.run([
            "sample".as_ref(),
            model.as_os_str(),
            "--count".as_ref(),
            count.as_ref(),
            "--seed".as_ref(),
            args.seed.to_string().as_ref(),
            "--out".as_ref(),
            file.as_os_str(),
        ])?;
        let score = json(&host_train.capture(["evaluate".as_ref(), model.as_os_str(), "--json".as_ref()])?)?;
        rows.push(Row::model(stem(model), file, &score)?);
    }
    let first = models.first().context("there is no model to measure")?;
    let files: Vec<&Path> = rows.iter().map(|row| row.file.as_path()).collect();
    let data = [
        "distance".as_ref(),
        "--json".as_ref(),
        "--model".as_ref(),
        first.as_os_str(),
    ];
    let distances = host_train.capture(data.into_iter().chain(files.iter().map(|file| file.as_os_str())))?;
    let judge = paths::root().join(JUDGE);
    let tool = ["judge".as_ref(), judge.as_os_str()];
    let judged = python.capture(
        "quality.py",
        tool.into_iter().chain(files.iter().map(|file| file.as_os_str())),
    )?;
    let (distances, judged) = (list(&distances)?, list(&judged)?);
    if distances.len() != rows.len() || judged.len() != rows.len() {
        bail!("host-train and quality.py have not answered for every file");
    }
    for (row, (distance, judged)) in rows.iter_mut().zip(distances.iter().zip(&judged)) {
        row.measured = Some(Measured::parse(distance, judged)?);
    }
    Ok(rows)
}

fn json(text: &str) -> Result<Value> {
    serde_json::from_str(text).with_context(|| format!("expected JSON and found {text:?}"))
}

fn list(text: &str) -> Result<Vec<Value>> {
    serde_json::from_str(text).with_context(|| format!("expected a JSON list and found {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_of_a_set_stand_together() {
        let mut names = [
            "digits-t8-f32",
            "digits-small-t8-f32",
            "digits-t16-w8a16",
            "digits-t16-f32",
        ];
        names.sort_by_key(|name| by_steps(name));
        assert_eq!(
            names,
            [
                "digits-t16-f32",
                "digits-t16-w8a16",
                "digits-t8-f32",
                "digits-small-t8-f32"
            ]
        );
    }

    #[test]
    fn the_shipped_models_of_the_table_are_found() {
        let models = shipped().unwrap();
        assert!(models.contains(&paths::default_model()), "{models:?}");
        assert!(models.iter().all(|path| !stem(path).ends_with("w4a8")), "{models:?}");
    }
}
