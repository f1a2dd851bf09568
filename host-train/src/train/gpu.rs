//! Steps on a GPU that the host does not wait for: the rows lie there, everything random is drawn there, and what a step finds stays there
//! until a row of the log or a checkpoint is written.

use super::{discrete, to_bits, update};
use crate::checkpoint::Run;
use crate::config::{Generator, Time, TrainConfig};
use crate::data::Dataset;
use crate::fused::cuda::{Gpu, Held};
use crate::fused::device::draw::{Draw, quantiles};
use crate::fused::device::update::{Progress, Slot, Update};
use crate::fused::graph::Graph;
use crate::fused::index::Index;
use crate::loss::Draws;
use crate::rng::Purpose;
use anyhow::{Context, Result, bail};
use candle_core::cuda_backend::cudarc::driver::CudaSlice;
use candle_core::{Shape, Tensor};

/// Steps that one upload plans.
const PLANNED: u64 = 1024;

/// Whether a run's steps are made here. In continuous time the course of γ needs numbers on the host in every step.
pub fn serves(run: &Run) -> bool {
    let (model, train) = (&run.config.model, &run.config.train);
    run.device().is_cuda() && model.time == Time::Discrete && train.generator == Generator::Counter
}

/// What lies on the GPU between steps.
pub struct Steps {
    gpu: Gpu,
    config: TrainConfig,
    levels: Option<u16>,
    /// `(rows, D)`.
    data: Tensor,
    quantiles: CudaSlice<u32>,
    progress: CudaSlice<u64>,
    plan: CudaSlice<u64>,
    planned: u64,
    graph: Graph,
}

impl Steps {
    /// Uploads the data.
    pub fn new(run: &Run, data: &Dataset) -> Result<Self> {
        let gpu = Gpu::new(run.device())?;
        let config = run.config.train.clone();
        let (sums, count) = run.pending;
        let step = run.optimizer.step;
        let progress = Progress {
            step,
            count,
            planned: step,
            sums,
            ..Progress::default()
        };
        Ok(Self {
            data: Tensor::from_slice(&data.rows, (data.len(), data.dim), run.device())?,
            levels: data.levels(),
            quantiles: gpu.upload(&quantiles())?,
            progress: gpu.upload(&progress.words())?,
            plan: gpu.upload(&plan(&config, step))?,
            planned: step,
            graph: Graph::new(config.graph),
            config,
            gpu,
        })
    }

    /// Has a step made.
    pub fn next(&mut self, run: &mut Run) -> Result<()> {
        let step = run.optimizer.step;
        if step >= self.planned + PLANNED {
            self.plan(step)?;
        }
        // Borrowed apart from what a step needs.
        let mut graph = std::mem::take(&mut self.graph);
        let launched = graph.run(&self.gpu, || self.launch(run));
        self.graph = graph;
        launched?;
        run.optimizer.step += 1;
        Ok(())
    }

    /// Uploads the settings of the next steps.
    fn plan(&mut self, step: u64) -> Result<()> {
        self.gpu.write(&plan(&self.config, step), &mut self.plan)?;
        let mut progress = self.read()?;
        progress.planned = step;
        self.gpu.write(&progress.words(), &mut self.progress)?;
        self.planned = step;
        Ok(())
    }

    fn read(&self) -> Result<Progress> {
        let words = self.gpu.read(&self.progress)?;
        let words = words.try_into().ok().context("the progress on the GPU has another size")?;
        Ok(Progress::of(words))
    }

    fn launch(&self, run: &Run) -> Result<()> {
        let (x, draws) = self.draw(run)?;
        let terms = discrete(run, self.levels, &x, &draws)?;
        let unit = to_bits(run.dim);
        let gradients = terms.total()?.affine(unit, 0.0)?.backward()?;
        let settings = update(&self.config, run.optimizer.step);
        let parameters = &run.optimizer.slots;
        let dense = parameters
            .iter()
            .map(|slot| gradients.get(&slot.parameter.var).map(Tensor::contiguous).transpose())
            .collect::<candle_core::Result<Vec<_>>>()?;
        let mut held = Vec::new();
        for (slot, gradient) in parameters.iter().zip(&dense) {
            let gradient = gradient.as_ref().map(Held::dense).transpose()?;
            held.push((gradient, Held::dense(&slot.parameter.var)?, slot));
        }
        let mut slots = Vec::new();
        for (gradient, value, slot) in &held {
            slots.push(Slot {
                gradient: gradient.as_ref().map(Held::span).transpose()?,
                value: value.span()?,
                rate_scale: slot.rate_scale,
                decay: slot.decay(&settings),
            });
        }
        let state = Held::dense(run.optimizer.memory())?;
        let [reconstruction, prior, diffusion] = [
            Held::dense(&terms.reconstruction)?,
            Held::dense(&terms.prior)?,
            Held::dense(&terms.diffusion)?,
        ];
        let update = Update {
            slots,
            state: state.span()?,
            progress: self.gpu.span(&self.progress),
            plan: self.gpu.span(&self.plan),
            terms: [Some(reconstruction.span()?), Some(prior.span()?), Some(diffusion.span()?)],
            unit,
            clip: settings.clip_norm,
            adam: settings.adam,
        };
        Ok(update.run(&self.gpu)?)
    }

    /// The rows of a step and everything random.
    fn draw(&self, run: &Run) -> candle_core::Result<(Tensor, Draws)> {
        let gpu = &self.gpu;
        let draw = Draw {
            seed: run.config.seed,
            step: gpu.span(&self.progress).head(1),
            table: gpu.span(&self.quantiles),
        };
        let n = self.config.batch;
        let matrix = |columns: usize| gpu.tensor(&Shape::from((n, columns)));
        let (x, noise, first_noise) = (matrix(run.dim)?, matrix(run.dim)?, matrix(run.dim)?);
        draw.rows(gpu, Held::dense(&self.data)?.span()?, run.dim, Held::dense(&x)?.span()?)?;
        draw.normals(gpu, Purpose::Noise, Held::dense(&noise)?.span()?)?;
        draw.normals(gpu, Purpose::FirstNoise, Held::dense(&first_noise)?.span()?)?;
        let t = gpu.room::<u32>(n)?;
        draw.times(gpu, run.gamma.steps(), gpu.span(&t))?;
        let mut masks = Vec::new();
        if self.config.dropout > 0.0 {
            for (layer, &width) in run.config.model.hidden.iter().enumerate() {
                let mask = matrix(width)?;
                let purpose = Purpose::Mask(layer as u32);
                draw.masks(gpu, purpose, self.config.dropout, Held::dense(&mask)?.span()?)?;
                masks.push(mask);
            }
        }
        let draws = Draws {
            t: Index::Device(gpu.owned(t, &Shape::from(n))),
            noise,
            first_noise,
            masks,
        };
        Ok((x, draws))
    }

    /// Waits until all steps are made and brings their sums to the host.
    pub fn settle(&mut self, run: &mut Run) -> Result<()> {
        let progress = self.read()?;
        run.optimizer.step = progress.step;
        run.pending = (progress.sums, progress.count);
        if progress.bad > 0 {
            bail!(
                "the loss or its gradient is not finite at step {}: resume from the last checkpoint with a lower train.learning_rate",
                progress.bad
            );
        }
        Ok(())
    }

    /// Begins new sums.
    pub fn begin_row(&mut self) -> Result<()> {
        let progress = Progress {
            sums: [0.0; 3],
            count: 0,
            ..self.read()?
        };
        Ok(self.gpu.write(&progress.words(), &mut self.progress)?)
    }
}

/// The settings of the steps from `step` on.
fn plan(config: &TrainConfig, step: u64) -> Vec<u64> {
    (step..step + PLANNED)
        .flat_map(|step| update(config, step).row(step + 1).words())
        .collect()
}
