//! The training loop.

pub mod advice;
pub mod checkpoint;
pub mod config;
pub mod device;
pub mod distill;
pub mod exchange;
#[cfg(feature = "cuda")]
mod gpu;
pub mod loss;
pub mod same;
pub mod update;

use self::loss::{Draws, Terms, continuous};
use self::update::update;
use crate::data::Dataset;
use crate::files::write_atomically;
use crate::fused::device::Products;
use crate::parallel::{Alone, Group, agreed, once};
use crate::rng::Counter;
use crate::rng::Share;
use crate::train::checkpoint::{CHECKPOINT, Run, WEIGHTS};
use crate::train::config::{Generator, Time, TrainConfig};
use crate::train::exchange::{Exchange, Found};
use crate::train::same::check_same_run;
use anyhow::{Context, Result, ensure};
use candle_core::Tensor;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Name of the loss log in a run's folder.
pub const LOSSES: &str = "losses.csv";

/// Why the loop returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All steps are done.
    Finished,
    /// It was asked to stop; the checkpoint holds where.
    Interrupted,
}

/// One row of the loss log: the mean of each term since the row before, in bits/dim.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LossRow {
    /// Steps done.
    pub step: u64,
    /// Reconstruction, prior, diffusion.
    pub terms: [f64; 3],
}

/// Trains `run` on `data` until its configured number of steps, writing checkpoints and the loss log into `folder`.
///
/// * `stop`: set from outside to end early with a checkpoint;
/// * `stop_at`: end early once this many steps are done;
/// * `quiet`: no progress bar.
///
/// The same configuration gives the same bits, also across an interruption at any step.
pub fn train(
    run: &mut Run,
    data: &Dataset,
    folder: &Path,
    stop: &AtomicBool,
    stop_at: Option<u64>,
    quiet: bool,
) -> Result<Outcome> {
    train_among(&Alone, run, data, folder, stop, stop_at, quiet)
}

/// [`train`] on several processes, each with the same run and data. The first of them writes the files; one that is told to stop stops
/// all after the same step.
pub fn train_among(
    group: &dyn Group,
    run: &mut Run,
    data: &Dataset,
    folder: &Path,
    stop: &AtomicBool,
    stop_at: Option<u64>,
    quiet: bool,
) -> Result<Outcome> {
    let config = run.config.train.clone();
    ensure!(
        !run.device().is_cpu() || (config.products == Products::F32 && !config.graph),
        "train.products and train.graph are for a GPU, and this run is on the CPU, which multiplies in f32: leave them out, or train with --cuda"
    );
    let checkpoint = folder.join(CHECKPOINT);
    let mut exchange = once(group, Exchange::new(group, config.batch))?;
    let mut log = Log::open(folder.join(LOSSES), run.optimizer.step)?;
    log.plain &= group.leads();
    let save = |run: &Run, log: &Log| match group.leads() {
        true => run.save(&checkpoint).and_then(|()| log.flush()),
        false => Ok(()),
    };
    // Before the first step, so that a folder that cannot be written is found now and not in an hour.
    agreed(group, save(run, &log))?;
    let bar = progress(config.steps, run.optimizer.step, quiet || !group.leads());
    let mut last_save = Instant::now();
    let mut saved = Ok(());
    let mut stopped = agreed_to_stop(group, stop);
    let mut outcome = Outcome::Finished;
    let mut steps = Steps::new(group, run, data)?;
    while run.optimizer.step < config.steps {
        if stopped || stop_at.is_some_and(|at| run.optimizer.step >= at) {
            outcome = Outcome::Interrupted;
            break;
        }
        // What went wrong on one rank is said to the others where they meet.
        let own = std::mem::replace(&mut saved, Ok(()));
        stopped = steps.next(run, data, &config, &mut exchange, own, stop.load(Ordering::Relaxed))?;
        let done = run.optimizer.step;
        bar.set_position(done);
        if done.is_multiple_of(config.log_every) {
            steps.settle(run)?;
            let (sums, summed) = &run.pending;
            let row = LossRow {
                step: done,
                terms: sums.map(|s| s / *summed as f64),
            };
            run.pending = ([0.0; 3], 0);
            steps.begin_row()?;
            bar.set_message(row.message());
            log.push(row)?;
            check_same_run(group, run)?;
        }
        if last_save.elapsed() >= Duration::from_secs(config.checkpoint_seconds) {
            saved = steps.settle(run).and_then(|()| save(run, &log));
            last_save = Instant::now();
        }
    }
    let saved = saved.and_then(|()| steps.settle(run));
    agreed(group, saved.and_then(|()| save(run, &log)))?;
    if outcome == Outcome::Finished {
        let weights = folder.join(WEIGHTS);
        agreed(
            group,
            if group.leads() {
                run.save_weights(&weights)
            } else {
                Ok(())
            },
        )?;
        bar.finish();
    } else {
        bar.abandon();
    }
    Ok(outcome)
}

/// Whether any rank was told to stop before the first step.
fn agreed_to_stop(group: &dyn Group, stop: &AtomicBool) -> bool {
    group
        .gather(u64::from(stop.load(Ordering::Relaxed)))
        .iter()
        .any(|told| *told != 0)
}

/// How steps are made.
enum Steps<'g> {
    /// One after another, each with its loss on the host, by all processes.
    OneByOne(&'g dyn Group),
    /// On a GPU that the host does not wait for, by one process.
    #[cfg(feature = "cuda")]
    OnGpu(Box<gpu::Steps>),
}

impl<'g> Steps<'g> {
    #[cfg_attr(not(feature = "cuda"), expect(unused_variables, reason = "only a GPU keeps data"))]
    fn new(group: &'g dyn Group, run: &Run, data: &Dataset) -> Result<Self> {
        #[cfg(feature = "cuda")]
        if group.size() == 1 && gpu::serves(run) {
            return Ok(Self::OnGpu(Box::new(gpu::Steps::new(run, data)?)));
        }
        Ok(Self::OneByOne(group))
    }

    /// Makes a step, or has it made; whether any process was told to stop.
    ///
    /// * `own`: what went wrong on this one before the step;
    /// * `stop`: whether this one was told to.
    fn next(
        &mut self,
        run: &mut Run,
        data: &Dataset,
        config: &TrainConfig,
        exchange: &mut Exchange<'_>,
        own: Result<()>,
        stop: bool,
    ) -> Result<bool> {
        match self {
            Self::OneByOne(group) => {
                let own = own.and_then(|()| look(run, data, config, exchange.share()));
                let (found, told) = exchange.sum(&run.optimizer.slots, own, stop)?;
                let terms = found.terms;
                once(*group, step(run, found, config))?;
                let (sums, summed) = &mut run.pending;
                let unit = to_bits(run.dim);
                for (sum, term) in sums.iter_mut().zip(terms) {
                    *sum += f64::from(term) * unit;
                }
                *summed += 1;
                Ok(told)
            }
            #[cfg(feature = "cuda")]
            Self::OnGpu(steps) => own.and_then(|()| steps.next(run)).map(|()| stop),
        }
    }

    /// Waits until all steps are made, and brings their sums to the host. An error if one of them was not finite.
    #[cfg_attr(not(feature = "cuda"), expect(unused_variables, reason = "only a GPU is waited for"))]
    fn settle(&mut self, run: &mut Run) -> Result<()> {
        match self {
            Self::OneByOne(_) => Ok(()),
            #[cfg(feature = "cuda")]
            Self::OnGpu(steps) => steps.settle(run),
        }
    }

    /// Begins the sums of another row of the log.
    fn begin_row(&mut self) -> Result<()> {
        match self {
            Self::OneByOne(_) => Ok(()),
            #[cfg(feature = "cuda")]
            Self::OnGpu(steps) => steps.begin_row(),
        }
    }
}

/// What nats per row are multiplied with for bits per dimension.
fn to_bits(dim: usize) -> f64 {
    1.0 / (dim as f64 * std::f64::consts::LN_2)
}

/// Loss and gradients of a share of the next batch.
fn look(run: &mut Run, data: &Dataset, config: &TrainConfig, share: Share) -> Result<Found> {
    let device = run.device().clone();
    let counter = Counter {
        seed: run.config.seed,
        step: run.optimizer.step,
    };
    let counted = config.generator == Generator::Counter;
    let rows = match counted {
        false => data.draw(share, &mut run.rng),
        true => data.draw_counted(share, counter),
    };
    let x = Tensor::from_vec(rows, (share.rows, run.dim), &device)?;
    // Bits per dimension keep the gradient's size apart from the number of dimensions.
    let unit = to_bits(run.dim);
    let model = &run.config.model;
    Ok(match model.time {
        Time::Discrete => {
            let draws = if counted {
                let dropout = (config.dropout, model.hidden.as_slice());
                Draws::counted((share, run.dim), run.gamma.steps(), dropout, counter, &device)?
            } else {
                Draws::new(share, run.dim, run.gamma.steps(), &mut run.rng, &device)?.with_dropout(
                    config.dropout,
                    &model.hidden,
                    &mut run.rng,
                    &device,
                )?
            };
            let terms = discrete(run, data.levels(), &x, &draws)?;
            Found {
                terms: terms.values()?,
                gradients: terms.total()?.affine(unit, 0.0)?.backward()?,
                relative: Vec::new(),
            }
        }
        Time::Continuous => {
            let draws = if counted {
                continuous::Draws::counted((share, run.dim), (config.dropout, &model.hidden), counter, &device)?
            } else {
                continuous::Draws::new(share, run.dim, &mut run.rng, &device)?.with_dropout(
                    config.dropout,
                    &model.hidden,
                    &mut run.rng,
                    &device,
                )?
            };
            let step = continuous::step(
                &run.network,
                &run.gamma,
                model.prediction,
                data.levels(),
                &x,
                &draws,
                unit,
            )?;
            Found {
                terms: step.terms,
                gradients: step.gradients,
                relative: run.gamma.course().into_iter().cloned().collect(),
            }
        }
    })
}

/// One optimiser step.
fn step(run: &mut Run, found: Found, config: &TrainConfig) -> Result<()> {
    ensure!(
        found.terms.iter().all(|v| v.is_finite()),
        "the loss is not finite at step {}: resume from the last checkpoint with a lower train.learning_rate",
        run.optimizer.step + 1
    );
    run.optimizer
        .update(&found.gradients, update(config, run.optimizer.step))?;
    Ok(())
}

/// The loss of a chain of T steps.
fn discrete(run: &Run, levels: Option<u16>, x: &Tensor, draws: &Draws) -> candle_core::Result<Terms> {
    let variance = run.variance.as_ref();
    loss::elbo(
        &run.network,
        &run.gamma,
        variance,
        run.config.model.prediction,
        levels,
        x,
        draws,
    )
}

fn progress(steps: u64, done: u64, quiet: bool) -> ProgressBar {
    let target = if quiet {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr_with_hz(4)
    };
    let bar = ProgressBar::with_draw_target(Some(steps), target).with_position(done);
    if let Ok(style) = ProgressStyle::with_template("{bar:24} {pos}/{len}  {msg}  {per_sec}  ETA {eta}") {
        bar.set_style(style);
    }
    bar.reset_eta();
    bar
}

impl LossRow {
    fn total(&self) -> f64 {
        self.terms.iter().sum()
    }

    fn message(&self) -> String {
        let [reconstruction, prior, diffusion] = self.terms;
        format!(
            "{:.3} bits/dim (rec {reconstruction:.3} + prior {prior:.4} + diff {diffusion:.3})",
            self.total()
        )
    }
}

/// The loss log, rewritten whole each time: it is small, and so it is never half a row.
struct Log {
    path: PathBuf,
    text: String,
    plain: bool,
}

impl Log {
    const HEADER: &'static str = "step,total,reconstruction,prior,diffusion\n";

    /// Takes up the rows of a run that is continued, as far as `step`.
    fn open(path: PathBuf, step: u64) -> Result<Self> {
        let mut text = Self::HEADER.to_owned();
        if step > 0 {
            let old = std::fs::read_to_string(&path).unwrap_or_default();
            for line in old.lines().skip(1) {
                let at = line.split(',').next().and_then(|s| s.parse::<u64>().ok());
                if at.is_some_and(|at| at <= step) {
                    text.push_str(line);
                    text.push('\n');
                }
            }
        }
        Ok(Self {
            path,
            text,
            plain: !std::io::IsTerminal::is_terminal(&std::io::stderr()),
        })
    }

    fn push(&mut self, row: LossRow) -> Result<()> {
        let [reconstruction, prior, diffusion] = row.terms;
        self.text.push_str(&format!(
            "{},{:.6},{reconstruction:.6},{prior:.6},{diffusion:.6}\n",
            row.step,
            row.total()
        ));
        // Where no terminal shows the bar, a line now and then says that the run is alive.
        if self.plain && row.step.is_multiple_of(1000) {
            eprintln!("step {}: {}", row.step, row.message());
        }
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        write_atomically(&self.path, |out| Ok(out.write_all(self.text.as_bytes())?))
            .context("the loss log could not be written")
    }
}
