//! Training of the runs of a sweep, each as a process of its own or several in this process.

use super::points::Point;
use super::results::{CONFIG, RESULT, record_failure, record_success, write_results};
use crate::data;
use crate::export::score::{run_result, score_weights};
use crate::progress::Progress;
use crate::train::advice::{OUT_OF_MEMORY_ADVICE, explain_memory};
use crate::train::checkpoint::{CHECKPOINT, Run};
use crate::train::{Outcome, Session, device, train};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Exit code of a program that was stopped by Ctrl-C, by convention.
pub const INTERRUPTED: u8 = 130;

/// Ways to train the runs.
#[derive(Clone, Copy, Debug)]
pub struct Workers {
    /// Number of processes at once.
    pub jobs: usize,
    /// Number of runs at once in this process, in place of processes.
    pub together: Option<usize>,
    /// Train on the GPU.
    pub cuda: bool,
}

impl Workers {
    /// Trains the runs `mine` of a sweep until all have ended or `stop` is set; returns whether it was.
    ///
    /// A run that fails is recorded, and the others go on.
    pub fn train_all(
        &self,
        points: &[Point],
        mine: &[&Point],
        folder: &Path,
        stop: &AtomicBool,
        progress: &Progress,
    ) -> Result<bool> {
        if self.cuda {
            // Reported once, before any run is tried.
            device::select_device(true)?;
        }
        progress.begin("training the runs", mine.len() as u64);
        let (next, table) = (AtomicUsize::new(0), Mutex::new(()));
        let work = || -> Result<()> {
            while !stop.load(Ordering::Relaxed) {
                let Some(point) = mine.get(next.fetch_add(1, Ordering::Relaxed)) else {
                    break;
                };
                let run = folder.join(&point.name);
                if !run.join(RESULT).exists() {
                    match self.together {
                        Some(_) => train_here(point, &run, self.cuda, stop)?,
                        None => self.train_process(point, &run)?,
                    }
                }
                progress.advance(1);
                let _one_at_a_time = table.lock();
                write_results(points, folder)?;
            }
            Ok(())
        };
        std::thread::scope(|scope| -> Result<()> {
            let workers: Vec<_> = (0..self.together.unwrap_or(self.jobs))
                .map(|_| scope.spawn(work))
                .collect();
            for worker in workers {
                match worker.join() {
                    Ok(result) => result?,
                    Err(_) => bail!("the thread that supervises a run has panicked: start the same command again"),
                }
            }
            Ok(())
        })?;
        Ok(stop.load(Ordering::Relaxed))
    }

    /// Trains a run as a process of its own, from its checkpoint if there is one.
    fn train_process(&self, point: &Point, folder: &Path) -> Result<()> {
        let program = std::env::current_exe().context("the path of this program is not known")?;
        let mut command = Command::new(program);
        command
            .arg("train")
            .arg(folder.join(CONFIG))
            .arg("--out")
            .arg(folder)
            .args(["--json", "--quiet"]);
        if folder.join(CHECKPOINT).exists() {
            command.arg("--resume");
        }
        if self.cuda {
            command.arg("--cuda");
        }
        if self.jobs > 1 && std::env::var_os("RAYON_NUM_THREADS").is_none() {
            let all = std::thread::available_parallelism().map_or(1, usize::from);
            command.env("RAYON_NUM_THREADS", (all / self.jobs).max(1).to_string());
        }
        let output = command
            .stdin(Stdio::null())
            .output()
            .context("cannot start a run: check that the program's file is still in its place")?;
        if output.status.success() {
            return record_success(folder, &output.stdout);
        }
        if output.status.code() == Some(i32::from(INTERRUPTED)) {
            return Ok(());
        }
        record_failure(point, folder, &String::from_utf8_lossy(&output.stderr))
    }
}

/// Trains a run in this process, from its checkpoint if there is one. An error in it does not end the others.
fn train_here(point: &Point, folder: &Path, cuda: bool, stop: &AtomicBool) -> Result<()> {
    match train_and_score(point, folder, cuda, stop) {
        Ok(Some(result)) => record_success(folder, format!("{result}\n").as_bytes()),
        Ok(None) => Ok(()),
        Err(error) => {
            let error = device::explain_memory_error(error, OUT_OF_MEMORY_ADVICE);
            record_failure(point, folder, &format!("error: {error:#}\n"))
        }
    }
}

/// Returns the result of a run, or nothing if it was stopped.
fn train_and_score(point: &Point, folder: &Path, cuda: bool, stop: &AtomicBool) -> Result<Option<Value>> {
    let device = device::select_device(cuda)?;
    let mut config = point.config.clone();
    device::require_counter_rng(&mut config, &device);
    let split = data::load(&config.data, folder)?;
    config.data.keep_columns(&split.train.columns);
    let checkpoint = folder.join(CHECKPOINT);
    let mut run = match checkpoint.exists() {
        true => {
            let mut run = Run::resume(&checkpoint, &device)?;
            run.set_train(config.train);
            run
        }
        false => Run::for_data(config, &split, &device)?,
    };
    let outcome =
        train(&mut run, &split, &Session::quiet(folder, stop)).map_err(|error| explain_memory(error, &run, folder))?;
    if outcome == Outcome::Interrupted {
        return Ok(None);
    }
    let score = score_weights(&split, folder, &Progress::hidden())?;
    Ok(Some(run_result(&run, folder, &score)))
}
