//! The contenders, their turns and their results.

use super::partner::Partner;
use super::partner::SCRIPT;
use super::task::Task;
use crate::fused::lanes::Activation;
use crate::progress::Progress;
use anyhow::{Context, Result};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Largest number of steps whose losses are compared.
const COMPARED: u64 = 200;
/// Largest number of seconds for them.
const COMPARING: f64 = 10.0;

/// Result of one contender on one network.
#[derive(Debug, Serialize)]
pub struct BenchRow {
    /// Rows of each hidden layer.
    pub width: usize,
    /// Rows of a batch.
    pub batch: usize,
    /// Activation of the hidden layers.
    pub activation: Activation,
    /// Threads.
    pub threads: usize,
    /// Name of the contender and its mode.
    pub contender: String,
    /// Optimizer steps per second.
    pub steps_per_second: f64,
    /// Rows of data per second.
    pub samples_per_second: f64,
    /// Floating-point operations of the products per second, 1e9.
    pub gflops: f64,
    /// The same as a fraction of the fastest product of large matrices by any contender on the same device.
    pub of_rate: f64,
    /// Steps per second of this program's first mode (fused, on a GPU as a graph) divided by this contender's.
    pub fused_ratio: f64,
    /// Largest difference of the mean loss of a tenth of the compared steps, relative to that mode's own.
    pub loss_difference: f64,
}

/// A contender in one of its modes, with its measurements.
#[derive(Debug)]
pub struct Entry {
    partner: usize,
    /// Name of the contender and its mode.
    pub name: String,
    /// Losses of the compared steps.
    pub losses: Vec<f64>,
    /// Least seconds of a step so far.
    best: f64,
    /// Most operations per second of large products so far.
    rate: f64,
}

/// Rules of a contest.
#[derive(Clone, Debug)]
pub struct ContestSettings {
    /// Python with PyTorch.
    pub python: PathBuf,
    /// Measure on the GPU.
    pub cuda: bool,
    /// Leave out candle's own operations.
    pub no_candle: bool,
    /// Timed runs per contender.
    pub rounds: usize,
    /// Seconds per run.
    pub seconds: f64,
}

/// Contenders with the same number of threads.
pub struct Contest {
    partners: Vec<(Partner, &'static str)>,
    threads: usize,
    rounds: usize,
    seconds: f64,
}

impl Contest {
    /// Starts the processes that take part, each in one mode. This program's fastest mode is the first.
    ///
    /// * `folder`: for the script of the PyTorch side.
    pub fn start(settings: &ContestSettings, threads: usize, folder: &Path) -> Result<Self> {
        let script = folder.join("partner.py");
        std::fs::write(&script, SCRIPT).with_context(|| format!("cannot write {}", script.display()))?;
        let own = std::env::current_exe().context("the path of this program is not known")?;
        let mut partners = Vec::new();
        let modes: &[&'static str] = match (settings.cuda, settings.no_candle) {
            (false, true) => &["fused"],
            (false, false) => &["fused", "candle"],
            (true, true) => &["graphs", "fused"],
            (true, false) => &["graphs", "fused", "candle"],
        };
        for mode in modes {
            let mut command = Command::new(&own);
            command
                .args(["bench", "--worker"])
                .env("RAYON_NUM_THREADS", threads.to_string());
            if settings.cuda {
                command.arg("--cuda");
            }
            partners.push((Partner::start(&mut command)?, *mode));
        }
        let others: &[(&str, &'static str)] = match settings.cuda {
            false => &[("cpu", "eager"), ("cpu", "compiled")],
            true => &[("cuda", "eager"), ("cuda", "compiled"), ("cuda", "graphs")],
        };
        for &(device, mode) in others {
            let mut command = Command::new(&settings.python);
            command.arg("-u").arg(&script).arg(threads.to_string()).arg(device);
            for variable in ["OMP_NUM_THREADS", "MKL_NUM_THREADS"] {
                command.env(variable, threads.to_string());
            }
            match Partner::start(&mut command) {
                Ok(partner) => partners.push((partner, mode)),
                Err(error) => eprintln!(
                    "PyTorch ({device}, {mode}) is not measured: {error:#}; name a Python that has it with --python"
                ),
            }
        }
        Ok(Self {
            partners,
            threads,
            rounds: settings.rounds,
            seconds: settings.seconds,
        })
    }

    /// Lets all contenders train one network in turns.
    ///
    /// * `folder`: where the task was written.
    pub fn measure(&mut self, task: &Task, folder: &Path, progress: &Progress) -> Result<Vec<Entry>> {
        let title = format!("width {}, batch {}", hidden_width(task), task.batch);
        progress.begin(&title, (self.partners.len() * (1 + self.rounds)) as u64);
        let mut entries = Vec::new();
        for (index, (partner, mode)) in self.partners.iter_mut().enumerate() {
            match begin(partner, mode, task, folder) {
                Ok((losses, best, rate)) => entries.push(Entry {
                    partner: index,
                    name: format!("{}, {mode}", partner.name()),
                    losses,
                    best,
                    rate,
                }),
                Err(error) => eprintln!("{mode} is not measured: {error:#}"),
            }
            progress.advance(1);
        }
        for _ in 0..self.rounds {
            for entry in &mut entries {
                let Some((partner, _)) = self.partners.get_mut(entry.partner) else {
                    continue;
                };
                // Threads of the previous contender may still be spinning.
                std::thread::sleep(Duration::from_millis(250));
                let steps = (self.seconds / entry.best).ceil().max(1.0);
                entry.best = entry.best.min(partner.time(steps as u64)? / steps);
                entry.rate = entry.rate.max(partner.rate()?);
                progress.advance(1);
            }
        }
        Ok(entries)
    }

    /// Puts the contenders of one network side by side.
    pub fn rows(&self, task: &Task, entries: &[Entry]) -> Vec<BenchRow> {
        let Some(first) = entries.first() else {
            return Vec::new();
        };
        // All contenders are on one device.
        let rate = entries.iter().map(|entry| entry.rate).fold(0.0, f64::max);
        let row = |entry: &Entry| BenchRow {
            width: hidden_width(task),
            batch: task.batch,
            activation: task.activation,
            threads: self.threads,
            contender: entry.name.clone(),
            steps_per_second: 1.0 / entry.best,
            samples_per_second: task.batch as f64 / entry.best,
            gflops: task.operations() / entry.best * 1e-9,
            of_rate: task.operations() / entry.best / rate,
            fused_ratio: entry.best / first.best,
            loss_difference: relative_difference(&entry.losses, &first.losses),
        };
        entries.iter().map(row).collect()
    }
}

/// Rows of each hidden layer.
pub fn hidden_width(task: &Task) -> usize {
    task.widths.get(1).copied().unwrap_or_default()
}

/// Returns the losses from the start on, the seconds of a step, and operations per second of large products.
fn begin(partner: &mut Partner, mode: &str, task: &Task, folder: &Path) -> Result<(Vec<f64>, f64, f64)> {
    partner.prepare(mode, task, folder)?;
    // Compilation and capture happen now.
    partner.time(5)?;
    let rate = partner.rate()?;
    let pace = partner.time(3)? / 3.0;
    partner.prepare(mode, task, folder)?;
    // All contenders compare as many steps, so the number may not depend on the speed of one.
    let guess = task.operations() / 20e9;
    let steps = COMPARED.min((COMPARING / guess) as u64).max(4);
    Ok((partner.losses(steps)?, pace, rate))
}

/// Largest difference between two curves, smoothed over a tenth of them, relative to the second.
fn relative_difference(a: &[f64], b: &[f64]) -> f64 {
    let window = (a.len() / 10).max(1);
    let pairs = a.chunks(window).zip(b.chunks(window));
    let apart = pairs.map(|(a, b)| {
        let (a, b) = (a.iter().sum::<f64>(), b.iter().sum::<f64>());
        (a - b).abs() / b.abs()
    });
    apart.fold(0.0, f64::max)
}
