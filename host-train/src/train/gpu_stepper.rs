//! Steps on a GPU that the host does not wait for. The rows lie on the GPU, and everything random is drawn there.
//! Results stay there until a row of the log or a checkpoint is written.

use super::config::{DecoderKind, Generator, Time};
use super::loss::{ChainDraws, Draws, chain_start_fraction};
use super::pending::PendingLoss;
use super::run::Run;
use super::stepper::Stepper;
use super::update::update;
use crate::data::Dataset;
use crate::fused::cuda::{Gpu, Held};
use crate::fused::device::draw::{Draw, quantiles};
use crate::fused::device::progress::TrainingProgress;
use crate::fused::graph::Graph;
use crate::fused::index::Index;
use crate::optimizer::gpu::Updates;
use crate::rng::Purpose;
use crate::runtime::units::bits_per_nat;
use anyhow::{Result, bail};
use candle_core::cuda_backend::cudarc::driver::CudaSlice;
use candle_core::{Shape, Tensor};

/// Steps of one process on a GPU, with the data that stays there between them.
pub(super) struct GpuStepper {
    levels: Option<u16>,
    /// `(rows, D)`.
    data: Tensor,
    quantiles: CudaSlice<u32>,
    updates: Updates,
    graph: Graph,
}

impl GpuStepper {
    /// Returns true if a run's steps can be made here. In continuous time the curve of γ needs numbers on the host in
    /// every step.
    pub(super) fn supports(run: &Run) -> bool {
        let (model, train) = (&run.config.model, &run.config.train);
        run.device().is_cuda() && model.time == Time::Discrete && train.generator == Generator::Counter
    }

    /// Uploads the data.
    pub(super) fn new(run: &Run, data: &Dataset) -> Result<Self> {
        let gpu = Gpu::new(run.device())?;
        let config = run.config.train.clone();
        let progress = TrainingProgress {
            step: run.optimizer.step,
            count: run.pending.steps,
            sums: run.pending.sums,
            ..TrainingProgress::default()
        };
        let unit = bits_per_nat(run.dim);
        Ok(Self {
            data: Tensor::from_slice(&data.rows, (data.len(), data.dim), run.device())?,
            levels: data.levels(),
            quantiles: gpu.upload(&quantiles())?,
            graph: Graph::new(config.graph),
            updates: Updates::new(gpu, progress, unit, move |step| update(&config, step))?,
        })
    }

    fn launch(&self, run: &Run) -> Result<()> {
        let (x, draws) = self.draw(run)?;
        let terms = run.objective(self.levels).elbo(&x, &draws)?;
        let gradients = terms.total()?.affine(bits_per_nat(run.dim), 0.0)?.backward()?;
        let each = [&terms.reconstruction, &terms.prior, &terms.diffusion];
        self.updates.launch(&run.optimizer, &gradients, each.map(Some))
    }

    /// Draws the rows of a step and everything random.
    fn draw(&self, run: &Run) -> candle_core::Result<(Tensor, ChainDraws)> {
        let gpu = self.updates.gpu();
        let draw = Draw {
            seed: run.config.seed,
            step: self.updates.step(),
            table: gpu.span(&self.quantiles),
        };
        let train = &run.config.train;
        let n = train.batch;
        let matrix = |columns: usize| gpu.tensor(&Shape::from((n, columns)));
        let (x, noise) = (matrix(run.dim)?, matrix(run.dim)?);
        draw.rows(gpu, Held::new(&self.data)?.span()?, run.dim, Held::new(&x)?.span()?)?;
        draw.normals(gpu, Purpose::Noise, Held::new(&noise)?.span()?)?;
        let (first_noise, start_fraction) = match run.config.model.decoder {
            DecoderKind::Network => (None, chain_start_fraction(run.gamma.steps())),
            DecoderKind::Factorized => {
                let first_noise = matrix(run.dim)?;
                draw.normals(gpu, Purpose::FirstNoise, Held::new(&first_noise)?.span()?)?;
                (Some(first_noise), 0.0)
            }
        };
        let steps = gpu.alloc::<u32>(n)?;
        draw.times(gpu, run.gamma.steps(), start_fraction, gpu.span(&steps))?;
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
            times: Index::Device(gpu.owned(steps, &Shape::from(n))),
            start_fraction,
            noise,
            first_noise,
            masks,
        };
        Ok((x, draws))
    }
}

impl Stepper for GpuStepper {
    fn advance(&mut self, run: &mut Run, _: &Dataset, local: Result<()>, stop: bool) -> Result<bool> {
        local?;
        self.updates.prepare(run.optimizer.step)?;
        // Taken out, so that the closure can borrow the rest.
        let mut graph = std::mem::take(&mut self.graph);
        let launched = graph.run(self.updates.gpu(), || self.launch(run));
        self.graph = graph;
        launched?;
        run.optimizer.step += 1;
        Ok(stop)
    }

    fn synchronize(&mut self, run: &mut Run) -> Result<()> {
        let progress = self.updates.read()?;
        run.optimizer.step = progress.step;
        run.pending = PendingLoss {
            sums: progress.sums,
            steps: progress.count,
        };
        if progress.bad > 0 {
            bail!(
                "the loss or its gradient is not finite at step {}: resume from the last checkpoint with a lower \
                 train.learning_rate",
                progress.bad
            );
        }
        Ok(())
    }

    fn start_row(&mut self) -> Result<()> {
        self.updates.begin_sums()
    }
}
