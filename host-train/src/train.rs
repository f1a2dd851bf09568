//! The training loop.

use crate::checkpoint::{CHECKPOINT, Run, WEIGHTS};
use crate::config::{Time, TrainConfig};
use crate::data::Dataset;
use crate::files::write_atomically;
use crate::loss::{self, Draws, continuous};
use crate::optimizer::Update;
use crate::parallel::exchange::{Exchange, Found};
use crate::parallel::{Alone, Group, Share, agreed, check_same_run, once};
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
    let to_bits = 1.0 / (run.dim as f64 * std::f64::consts::LN_2);
    let mut last_save = Instant::now();
    let mut saved = Ok(());
    let mut stopped = agreed_to_stop(group, stop);
    let mut outcome = Outcome::Finished;
    while run.optimizer.step < config.steps {
        if stopped || stop_at.is_some_and(|at| run.optimizer.step >= at) {
            outcome = Outcome::Interrupted;
            break;
        }
        // What went wrong on one rank is said to the others where they meet.
        let own = saved.and_then(|()| look(run, data, &config, exchange.share()));
        saved = Ok(());
        let (found, told) = exchange.sum(&run.optimizer.slots, own, stop.load(Ordering::Relaxed))?;
        stopped = told;
        let terms = found.terms;
        once(group, step(run, found, &config))?;
        let (sums, summed) = &mut run.pending;
        for (sum, term) in sums.iter_mut().zip(terms) {
            *sum += f64::from(term) * to_bits;
        }
        *summed += 1;
        let done = run.optimizer.step;
        bar.set_position(done);
        if done.is_multiple_of(config.log_every) {
            let row = LossRow {
                step: done,
                terms: sums.map(|s| s / *summed as f64),
            };
            run.pending = ([0.0; 3], 0);
            bar.set_message(row.message());
            log.push(row)?;
            check_same_run(group, run)?;
        }
        if last_save.elapsed() >= Duration::from_secs(config.checkpoint_seconds) {
            saved = save(run, &log);
            last_save = Instant::now();
        }
    }
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

/// Loss and gradients of a share of the next batch.
fn look(run: &mut Run, data: &Dataset, config: &TrainConfig, share: Share) -> Result<Found> {
    let device = run.device().clone();
    let rows = data.draw(share, &mut run.rng);
    let x = Tensor::from_vec(rows, (share.rows, run.dim), &device)?;
    // Bits per dimension keep the gradient's size apart from the number of dimensions.
    let unit = 1.0 / (run.dim as f64 * std::f64::consts::LN_2);
    let model = &run.config.model;
    Ok(match model.time {
        Time::Discrete => {
            let draws = Draws::new(share, run.dim, run.gamma.steps(), &mut run.rng, &device)?;
            let draws = draws.with_dropout(config.dropout, &model.hidden, &mut run.rng, &device)?;
            let terms = loss::elbo(
                &run.network,
                &run.gamma,
                run.variance.as_ref(),
                model.prediction,
                data.levels(),
                &x,
                &draws,
            )?;
            Found {
                terms: terms.values()?,
                gradients: terms.total()?.affine(unit, 0.0)?.backward()?,
                relative: Vec::new(),
            }
        }
        Time::Continuous => {
            let draws = continuous::Draws::new(share, run.dim, &mut run.rng, &device)?;
            let draws = draws.with_dropout(config.dropout, &model.hidden, &mut run.rng, &device)?;
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
    let update = Update {
        rate: rate(config, run.optimizer.step),
        decay: config.weight_decay,
        clip_norm: config.clip_norm,
        ema: config.ema,
        adam: config.adam(),
    };
    ensure!(
        found.terms.iter().all(|v| v.is_finite()),
        "the loss is not finite at step {}: resume from the last checkpoint with a lower train.learning_rate",
        run.optimizer.step + 1
    );
    run.optimizer.update(&found.gradients, update)?;
    Ok(())
}

/// Linear warm-up, then a cosine to the final fraction.
fn rate(config: &TrainConfig, step: u64) -> f64 {
    if step < config.warmup {
        return config.learning_rate * (step + 1) as f64 / config.warmup as f64;
    }
    let span = config.steps.saturating_sub(config.warmup).max(1);
    let progress = ((step - config.warmup) as f64 / span as f64).min(1.0);
    let cosine = 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
    config.learning_rate * (config.final_fraction + (1.0 - config.final_fraction) * cosine)
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
