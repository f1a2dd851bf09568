//! Steps on a GPU that the host does not wait for: the rows lie there, everything random is drawn there, and what a step finds stays there
//! until a row of the log or a checkpoint is written.

use super::update::update;
use super::{discrete, to_bits};
use crate::data::Dataset;
use crate::fused::cuda::{Gpu, Held};
use crate::fused::device::draw::{Draw, quantiles};
use crate::fused::device::progress::Progress;
use crate::fused::graph::Graph;
use crate::fused::index::Index;
use crate::optimizer::gpu::Updates;
use crate::rng::Purpose;
use crate::train::checkpoint::Run;
use crate::train::config::{Generator, Time};
use crate::train::loss::Draws;
use anyhow::{Result, bail};
use candle_core::cuda_backend::cudarc::driver::CudaSlice;
use candle_core::{Shape, Tensor};

/// Whether a run's steps are made here. In continuous time the course of γ needs numbers on the host in every step.
pub fn serves(run: &Run) -> bool {
    let (model, train) = (&run.config.model, &run.config.train);
    run.device().is_cuda() && model.time == Time::Discrete && train.generator == Generator::Counter
}

/// What lies on the GPU between steps.
pub struct Steps {
    levels: Option<u16>,
    /// `(rows, D)`.
    data: Tensor,
    quantiles: CudaSlice<u32>,
    updates: Updates,
    graph: Graph,
}

impl Steps {
    /// Uploads the data.
    pub fn new(run: &Run, data: &Dataset) -> Result<Self> {
        let gpu = Gpu::new(run.device())?;
        let config = run.config.train.clone();
        let (sums, count) = run.pending;
        let progress = Progress {
            step: run.optimizer.step,
            count,
            sums,
            ..Progress::default()
        };
        Ok(Self {
            data: Tensor::from_slice(&data.rows, (data.len(), data.dim), run.device())?,
            levels: data.levels(),
            quantiles: gpu.upload(&quantiles())?,
            graph: Graph::new(config.graph),
            updates: Updates::new(gpu, progress, to_bits(run.dim), move |step| update(&config, step))?,
        })
    }

    /// Has a step made.
    pub fn next(&mut self, run: &mut Run) -> Result<()> {
        self.updates.prepare(run.optimizer.step)?;
        // Borrowed apart from what a step needs.
        let mut graph = std::mem::take(&mut self.graph);
        let launched = graph.run(self.updates.gpu(), || self.launch(run));
        self.graph = graph;
        launched?;
        run.optimizer.step += 1;
        Ok(())
    }

    fn launch(&self, run: &Run) -> Result<()> {
        let (x, draws) = self.draw(run)?;
        let terms = discrete(run, self.levels, &x, &draws)?;
        let gradients = terms.total()?.affine(to_bits(run.dim), 0.0)?.backward()?;
        let each = [&terms.reconstruction, &terms.prior, &terms.diffusion];
        self.updates.launch(&run.optimizer, &gradients, each.map(Some))
    }

    /// The rows of a step and everything random.
    fn draw(&self, run: &Run) -> candle_core::Result<(Tensor, Draws)> {
        let gpu = self.updates.gpu();
        let draw = Draw {
            seed: run.config.seed,
            step: self.updates.step(),
            table: gpu.span(&self.quantiles),
        };
        let train = &run.config.train;
        let n = train.batch;
        let matrix = |columns: usize| gpu.tensor(&Shape::from((n, columns)));
        let (x, noise, first_noise) = (matrix(run.dim)?, matrix(run.dim)?, matrix(run.dim)?);
        draw.rows(gpu, Held::new(&self.data)?.span()?, run.dim, Held::new(&x)?.span()?)?;
        draw.normals(gpu, Purpose::Noise, Held::new(&noise)?.span()?)?;
        draw.normals(gpu, Purpose::FirstNoise, Held::new(&first_noise)?.span()?)?;
        let t = gpu.alloc::<u32>(n)?;
        draw.times(gpu, run.gamma.steps(), gpu.span(&t))?;
        let mut masks = Vec::new();
        if train.dropout > 0.0 {
            for (layer, &width) in run.config.model.hidden.iter().enumerate() {
                let mask = matrix(width)?;
                let purpose = Purpose::Mask(layer as u32);
                draw.masks(gpu, purpose, train.dropout, Held::new(&mask)?.span()?)?;
                masks.push(mask);
            }
        }
        let draws = Draws {
            share: n.into(),
            t: Index::Device(gpu.owned(t, &Shape::from(n))),
            noise,
            first_noise,
            masks,
        };
        Ok((x, draws))
    }

    /// Waits until all steps are made and brings their sums to the host.
    pub fn settle(&mut self, run: &mut Run) -> Result<()> {
        let progress = self.updates.read()?;
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
        self.updates.begin_sums()
    }
}
