//! Distillation to very few steps, for samples only (Salimans and Ho 2022, "Progressive Distillation for Fast Sampling
//! of Diffusion Models").
//!
//! The deterministic sampler (η = 0) is a map from z_T to a sample. In each stage a student learns to replace two steps
//! of its teacher by one; then it becomes the next teacher. If the teacher ends at z_s, the student's estimate must be
//! `x̃ = (z_s − keep·z_t)/pull`, with the constants of the long step.
//!
//! A network that is the decoder too must still answer at t = 0: the student learns its teacher's answers there.
//!
//! A student can only draw samples. Its steps add no noise, so p(z_s | z_t) has no density, and no ELBO measures its
//! quality. The distance of its samples from the data can be measured.

use super::config::{DecoderKind, Time};
use super::run::Run;
use super::update::adam;
use crate::data::Dataset;
use crate::model::gamma::CurveKind;
use crate::model::read_out::ReadOut;
use crate::model::variance::VarianceKind;
use crate::optimizer::Update;
use crate::rng::TrainRng;
use crate::runtime::units::bits_per_nat;
use ancestral::schedule::Prediction;
use ancestral::schedule::StepConstants;
use anyhow::{Result, bail, ensure};
use candle_core::{Device, Tensor};

/// Settings of a stage.
#[derive(Clone, Copy, Debug)]
pub struct DistillSettings {
    /// Optimizer steps of each stage.
    pub updates: u64,
    /// Rows per update.
    pub batch: usize,
    /// Learning rate at the beginning of a stage; it falls along a cosine to 0.
    pub rate: f64,
    /// Seed of batches, times and noise.
    pub seed: u64,
}

impl Default for DistillSettings {
    fn default() -> Self {
        Self {
            updates: 2000,
            batch: 256,
            rate: 3e-4,
            seed: 0,
        }
    }
}

/// Decay of the moving average that becomes the student.
const EMA: f64 = 0.995;
/// One in N rows of a batch goes through the decoder too.
const DECODED_PART: usize = 8;

/// Halves the steps of a run's deterministic sampler until `steps` are left. Each trained student is passed to
/// `on_student`.
///
/// * `run`: with its averaged parameters in place; its number of steps must be `steps` times a power of two;
/// * `progress(steps, update, loss)`: called after each update, with the loss in bits per dimension.
pub fn distill(
    run: &Run,
    data: &Dataset,
    steps: usize,
    settings: &DistillSettings,
    progress: impl Fn(usize, u64, f32),
    mut on_student: impl FnMut(&Run) -> Result<()>,
) -> Result<()> {
    let whole = run.gamma.steps();
    let halvings = steps > 0 && whole > steps && whole.is_multiple_of(steps) && (whole / steps).is_power_of_two();
    if !halvings {
        bail!("{whole} steps cannot be halved until {steps} are left: choose {whole} divided by a power of two");
    }
    ensure!(
        settings.batch >= 1 && settings.updates >= 1,
        "a stage needs at least one update of one row"
    );
    let gamma = run.gamma.wide()?;
    let mut teacher = start_student(run, &gamma, 1)?;
    let mut stride = 1;
    while whole / stride > steps {
        stride *= 2;
        let mut student = start_student(&teacher, &gamma, stride)?;
        train_student(&teacher, &mut student, data, settings, &progress)?;
        student.optimizer.show_average()?;
        student.adopt()?;
        on_student(&student)?;
        teacher = student;
    }
    Ok(())
}

/// Returns a run with the parameters of its teacher and every `stride`-th γ of the first run's table.
fn start_student(teacher: &Run, gamma: &[f64], stride: usize) -> Result<Run> {
    let gamma: Vec<f64> = gamma.iter().step_by(stride).copied().collect();
    let mut config = teacher.config.clone();
    config.model.steps = gamma.len() - 1;
    config.model.time = Time::Discrete;
    config.model.variance = Some(VarianceKind::Posterior);
    config.model.eta = 0.0;
    config.model.learn_gamma = false;
    config.model.gamma = CurveKind::Table;
    Run::continued(config, teacher, &gamma, None)
}

/// Trains a student on its teacher.
fn train_student(
    teacher: &Run,
    student: &mut Run,
    data: &Dataset,
    settings: &DistillSettings,
    progress: &impl Fn(usize, u64, f32),
) -> Result<()> {
    let device = Device::Cpu;
    let steps = student.gamma.steps();
    let gamma: Vec<f32> = teacher.gamma.values()?.to_vec1()?;
    let mut rng = TrainRng::new(settings.seed ^ steps as u64);
    let (n, dim) = (settings.batch, data.dim);
    let unit = bits_per_nat(dim);
    for update in 0..settings.updates {
        let x = Tensor::from_vec(data.draw(n, &mut rng), (n, dim), &device)?;
        let noise = rng.normals(n, dim, &device)?;
        // γ at the ends and in the middle of each row's long step.
        let gammas: Vec<[f32; 3]> = rng
            .times(n)
            .map(|u| ((u * steps as f64) as usize).min(steps - 1))
            .map(|s| [0, 1, 2].map(|k| gamma.get(2 * s + k).copied().unwrap_or(0.0)))
            .collect();
        let prediction = teacher.read_out().prediction;
        let first = Columns::new(prediction, gammas.iter().map(|&[_, m, t]| (m, t)))?;
        let second = Columns::new(prediction, gammas.iter().map(|&[s, m, _]| (s, m)))?;
        let long = Columns::new(prediction, gammas.iter().map(|&[s, _, t]| (s, t)))?;

        let z = (x.broadcast_mul(&long.alpha)? + noise.broadcast_mul(&long.sigma)?)?;
        let middle = first.step(&z, &first.estimate(teacher, &z, true)?)?;
        let end = second.step(&middle, &second.estimate(teacher, &middle, true)?)?;
        let target = (end - z.broadcast_mul(&long.keep)?)?
            .broadcast_div(&long.pull)?
            .detach();

        let error = (long.estimate(student, &z, false)? - target)?.sqr()?.sum_keepdim(1)?;
        // The weight SNR + 1 = 1/σ² is that of the error of v.
        let mut loss = error
            .broadcast_div(&long.sigma.sqr()?)?
            .mean_all()?
            .affine(0.5 * unit, 0.0)?;
        if student.config.model.decoder == DecoderKind::Network {
            let rows = n.div_ceil(DECODED_PART);
            let noise = rng.normals(rows, dim, &device)?;
            let nats = decoder_divergence(teacher, student, &x.narrow(0, 0, rows)?, &noise)?;
            loss = (loss + (nats.mean_all()? * unit)?)?;
        }
        let gradients = loss.backward()?;
        let fall = 0.5 * (1.0 + (std::f64::consts::PI * update as f64 / settings.updates as f64).cos());
        let train = &student.config.train;
        let rule = Update {
            rate: settings.rate * fall,
            decay: 0.0,
            clip_norm: train.clip_norm,
            ema: EMA,
            adam: adam(train),
        };
        student.optimizer.update(&gradients, rule)?;
        progress(steps, update + 1, loss.to_scalar()?);
    }
    Ok(())
}

/// Returns the divergence of a student's decoder from its teacher's, `D_KL(teacher ‖ student)`, in nats for each row.
fn decoder_divergence(teacher: &Run, student: &Run, x: &Tensor, noise: &Tensor) -> candle_core::Result<Tensor> {
    let first = teacher.gamma.values()?.detach().narrow(0, 0, 1)?;
    let gamma = first.reshape((1, 1))?.broadcast_as((x.dim(0)?, 1))?.contiguous()?;
    let alpha = candle_nn::ops::sigmoid(&gamma.neg()?)?.sqrt()?;
    let sigma = candle_nn::ops::sigmoid(&gamma)?.sqrt()?;
    let z = (x.broadcast_mul(&alpha)? + noise.broadcast_mul(&sigma)?)?;
    let output = |run: &Run| run.network.output(&z, &gamma);
    let (taught, learned) = (output(teacher)?.detach(), output(student)?);
    let read_out = student.read_out();
    let estimate = read_out.estimate(&z, &taught, &gamma)?;
    match read_out.prediction {
        // −ln p is linear in x but for a term that both have, so the teacher's mean stands for all of its levels.
        Prediction::Odds { .. } => {
            read_out.level_nats(&estimate, &z, &learned, &gamma)?
                - read_out.level_nats(&estimate, &z, &taught, &gamma)?
        }
        Prediction::V | Prediction::X => {
            let error = (read_out.estimate(&z, &learned, &gamma)? - estimate)?;
            (error.sqr()?.sum_keepdim(1)? * gamma.neg()?.exp()?)?.affine(0.5, 0.0)
        }
    }
}

/// Constants of each row's deterministic step as the core computes them, `(n, 1)` each.
struct Columns {
    gamma: Tensor,
    keep: Tensor,
    pull: Tensor,
    alpha: Tensor,
    sigma: Tensor,
}

impl Columns {
    /// * `steps`: γ_s and γ_t of each row.
    fn new(prediction: Prediction, steps: impl Iterator<Item = (f32, f32)>) -> Result<Self> {
        let (gamma, constants): (Vec<f32>, Vec<StepConstants<f64>>) = steps
            .map(|(s, t)| {
                let step = StepConstants::with_noise(prediction, f64::from(s), f64::from(t), 0.0);
                (t, step)
            })
            .unzip();
        let n = gamma.len();
        let column = |constant: fn(&StepConstants<f64>) -> f64| {
            let values: Vec<f32> = constants.iter().map(|c| constant(c) as f32).collect();
            Tensor::from_vec(values, (n, 1), &Device::Cpu)
        };
        Ok(Self {
            keep: column(|c| c.keep)?,
            pull: column(|c| c.pull)?,
            alpha: column(|c| c.alpha)?,
            sigma: column(|c| c.sigma)?,
            gamma: Tensor::from_vec(gamma, (n, 1), &Device::Cpu)?,
        })
    }

    /// Returns the estimate x̂. Without `clip`, it is not clipped, so that it has a gradient everywhere.
    fn estimate(&self, run: &Run, z: &Tensor, clip: bool) -> candle_core::Result<Tensor> {
        let f = run.network.output(z, &self.gamma)?;
        let own = run.read_out();
        let read_out = ReadOut {
            clip: clip && own.clip,
            ..own
        };
        read_out.estimate(z, &f, &self.gamma)
    }

    /// Returns `z_s = keep·z_t + pull·x̂`.
    fn step(&self, z: &Tensor, estimate: &Tensor) -> candle_core::Result<Tensor> {
        (z.broadcast_mul(&self.keep)? + estimate.broadcast_mul(&self.pull)?)?
            .detach()
            .copy()
    }
}
