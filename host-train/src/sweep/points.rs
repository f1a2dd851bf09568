//! The runs of a sweep: many configurations from one, by a grid or by random draws.
//!
//! ```toml
//! base = "digits.toml"                       # relative to this file
//!
//! [grid]                                     # every combination
//! seed = [1, 2, 3]
//! "train.learning_rate" = [1e-3, 2e-3]
//! "model.hidden" = [[128, 128], [256, 256, 256]]
//!
//! [random]                                   # each combination `count` times, with these drawn
//! count = 5
//! seed = 7
//! [random.draw]
//! "train.batch" = [128, 256, 512]            # one of a list
//! "train.dropout" = { low = 0.0, high = 0.2 }
//! "train.weight_decay" = { low = 1e-4, high = 0.1, log = true }
//! ```

use crate::rng::TrainRng;
use crate::train::config::Config;
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::Value;

/// The contents of a sweep's file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// Configuration that all runs start from, relative to the sweep's own folder.
    base: PathBuf,
    /// Values of a key, `table.key`.
    #[serde(default)]
    grid: BTreeMap<String, Vec<Value>>,
    random: Option<Random>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Random {
    count: usize,
    #[serde(default)]
    seed: u64,
    draw: BTreeMap<String, Draw>,
}

/// Range or list that a value is drawn from.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Draw {
    OneOf(Vec<Value>),
    Between(Range),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Range {
    low: f64,
    high: f64,
    #[serde(default)]
    log: bool,
}

/// One run of a sweep.
#[derive(Clone, Debug)]
pub struct Point {
    /// Number in the sweep and name of the folder: `000`, `001`, …
    pub name: String,
    /// Differences from the base, by key, in the order of the keys.
    pub changes: Vec<(String, String)>,
    /// Configuration, checked.
    pub config: Config,
}

/// Largest number of runs. More are a mistake.
const MAX_RUNS: usize = 10_000;

impl Sweep {
    /// Reads a sweep and makes its runs. Errors name the file and the key.
    pub fn points(path: &Path) -> Result<Vec<Point>> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read the sweep {}", path.display()))?;
        let sweep: Self =
            toml::from_str(&text).with_context(|| format!("the sweep {} is not usable", path.display()))?;
        sweep
            .expand(path.parent().unwrap_or(Path::new("")))
            .with_context(|| format!("the sweep {} is not usable", path.display()))
    }

    fn expand(&self, folder: &Path) -> Result<Vec<Point>> {
        let base = folder.join(&self.base);
        let text = std::fs::read_to_string(&base)
            .with_context(|| format!("cannot read the base configuration {}", base.display()))?;
        let table: toml::Table = toml::from_str(&text).with_context(|| format!("in {}", base.display()))?;
        let changes = self.changes()?;
        let digits = changes.len().saturating_sub(1).to_string().len().max(3);
        let point = |(number, changes): (usize, Vec<(String, Value)>)| -> Result<Point> {
            let mut table = table.clone();
            for (key, value) in &changes {
                set(&mut table, key, value.clone())?;
            }
            let mut config = Config::parse(&toml::to_string(&table)?)
                .with_context(|| format!("run {number:0digits$} has no usable configuration"))?;
            // The data stays beside the base, wherever the configuration of a run lies.
            config.data = config.data.anchored(base.parent().unwrap_or(Path::new("")));
            Ok(Point {
                name: format!("{number:0digits$}"),
                changes: changes
                    .into_iter()
                    .map(|(key, value)| (key, value.to_string()))
                    .collect(),
                config,
            })
        };
        changes.into_iter().enumerate().map(point).collect()
    }

    /// Returns the changed keys of each run and their values.
    fn changes(&self) -> Result<Vec<Vec<(String, Value)>>> {
        let mut all: Vec<Vec<(String, Value)>> = vec![Vec::new()];
        for (key, values) in &self.grid {
            ensure!(!values.is_empty(), "grid.\"{key}\" has no values");
            let longer = all.iter().flat_map(|before| {
                values.iter().map(|value| {
                    let mut changes = before.clone();
                    changes.push((key.clone(), value.clone()));
                    changes
                })
            });
            all = longer.collect();
            ensure!(all.len() <= MAX_RUNS, "the grid has more than {MAX_RUNS} combinations");
        }
        let Some(random) = &self.random else {
            ensure!(
                !self.grid.is_empty(),
                "it varies nothing: give it a [grid] or a [random.draw]"
            );
            return Ok(all);
        };
        ensure!(
            random.count > 0 && random.count.saturating_mul(all.len()) <= MAX_RUNS,
            "random.count is {}: at least 1 and {MAX_RUNS} runs in all are possible",
            random.count
        );
        if let Some(key) = random.draw.keys().find(|key| self.grid.contains_key(*key)) {
            bail!("\"{key}\" is in [grid] and in [random.draw]: leave one out");
        }
        let mut rng = TrainRng::new(random.seed);
        let mut drawn = Vec::new();
        for changes in &all {
            for _ in 0..random.count {
                let mut changes = changes.clone();
                for (key, draw) in &random.draw {
                    let value = draw.value(&mut rng).with_context(|| format!("random.draw.\"{key}\""))?;
                    changes.push((key.clone(), value));
                }
                drawn.push(changes);
            }
        }
        Ok(drawn)
    }
}

impl Draw {
    fn value(&self, rng: &mut TrainRng) -> Result<Value> {
        match self {
            Self::OneOf(values) => {
                ensure!(!values.is_empty(), "the list to draw from is empty");
                let value = values.get(rng.below(values.len()));
                Ok(value.context("the list to draw from is empty")?.clone())
            }
            Self::Between(Range { low, high, log }) => {
                ensure!(
                    low.is_finite() && high.is_finite() && low <= high && (!log || *low > 0.0),
                    "low = {low} must not be above high = {high}, nor be 0 or less with log"
                );
                let share = f64::from(rng.uniform());
                Ok(Value::Float(match log {
                    true => (low.ln() + share * (high / low).ln()).exp().clamp(*low, *high),
                    false => low + share * (high - low),
                }))
            }
        }
    }
}

/// Sets the value of `table.key`.
fn set(table: &mut toml::Table, path: &str, value: Value) -> Result<()> {
    match path.split_once('.') {
        None => {
            table.insert(path.to_owned(), value);
            Ok(())
        }
        Some((first, rest)) => match table.get_mut(first) {
            Some(Value::Table(inner)) => set(inner, rest, value),
            _ => bail!("the base has no table [{first}] for \"{path}\""),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(sweep: &str) -> Result<Vec<Point>> {
        let folder = tempfile::tempdir()?;
        std::fs::write(
            folder.path().join("base.toml"),
            include_str!("../../configs/digits.toml"),
        )?;
        let path = folder.path().join("sweep.toml");
        std::fs::write(&path, format!("base = \"base.toml\"\n{sweep}"))?;
        Sweep::points(&path)
    }

    #[test]
    fn a_grid_has_every_combination() {
        let points = expand("[grid]\nseed = [1, 2]\n\"model.hidden\" = [[8], [8, 8], [9]]").unwrap();
        assert_eq!(points.len(), 6);
        assert_eq!(points[5].name, "005");
        assert_eq!(
            (points[5].config.seed, points[5].config.model.hidden.as_slice()),
            (2, &[9][..])
        );
        assert_eq!(points[1].changes[0], ("model.hidden".into(), "[8]".into()));
    }

    #[test]
    fn draws_repeat_and_stay_in_their_range() {
        let text = "[random]\ncount = 20\n[random.draw]\n\"train.batch\" = [32, 64]\n\
                    \"train.weight_decay\" = { low = 1e-4, high = 0.1, log = true }";
        let points = expand(text).unwrap();
        let configs = |points: &[Point]| points.iter().map(|p| p.config.clone()).collect::<Vec<_>>();
        assert_eq!(configs(&points), configs(&expand(text).unwrap()));
        assert_eq!(points.len(), 20);
        assert!(
            points
                .iter()
                .all(|p| (1e-4..=0.1).contains(&p.config.train.weight_decay))
        );
        assert!(points.iter().any(|p| p.config.train.weight_decay < 1e-3));
        assert!(points.iter().any(|p| p.config.train.batch == 32) && points.iter().any(|p| p.config.train.batch == 64));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, part) in [
            ("", "varies nothing"),
            ("[grid]\nseed = []", "no values"),
            ("[grid]\n\"train.bach\" = [1]", "unknown field `bach`"),
            ("[grid]\n\"trane.batch\" = [1]", "no table [trane]"),
            ("[grid]\n\"train.batch\" = [0]", "train.batch is 0"),
            ("[grod]\nseed = [1]", "unknown field `grod`"),
            ("[random]\ncount = 0\n[random.draw]\nseed = [1]", "random.count is 0"),
            (
                "[random]\ncount = 1\n[random.draw]\nseed = { low = 2, high = 1 }",
                "must not be above",
            ),
            (
                "[grid]\nseed = [1]\n[random]\ncount = 1\n[random.draw]\nseed = [1]",
                "leave one out",
            ),
        ] {
            let sentence = format!("{:#}", expand(text).unwrap_err());
            assert!(sentence.contains(part), "{text}: {sentence}");
        }
    }
}
