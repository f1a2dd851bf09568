//! Updates on a GPU that the host does not wait for. The settings of many steps are uploaded at once, and progress is
//! read back only on request.

use super::adamw::Optimizer;
use super::update::Update;
use crate::fused::cuda::{Gpu, Held};
use crate::fused::device::Span;
use crate::fused::device::progress::TrainingProgress;
use crate::fused::device::update::{ParameterSpans, ParameterUpdate};
use anyhow::{Context, Result};
use candle_core::Tensor;
use candle_core::backprop::GradStore;
use candle_core::cuda_backend::cudarc::driver::CudaSlice;

/// Number of steps whose settings are uploaded at once.
const PLANNED: u64 = 1024;

/// The memory that updates need on the GPU.
pub struct Updates {
    gpu: Gpu,
    /// Returns the settings of the update after a number of others.
    settings: Box<dyn Fn(u64) -> Update>,
    progress: CudaSlice<u64>,
    plan: CudaSlice<u64>,
    planned: u64,
    /// Factor of the loss's terms in the sums.
    unit: f64,
}

impl Updates {
    /// Continues from `progress`, whose `planned` is ignored.
    ///
    /// * `settings`: returns the settings of the update after a number of others;
    /// * `unit`: factor of the loss's terms in the sums.
    pub fn new(
        gpu: Gpu,
        progress: TrainingProgress,
        unit: f64,
        settings: impl Fn(u64) -> Update + 'static,
    ) -> Result<Self> {
        let planned = progress.step;
        let progress = TrainingProgress { planned, ..progress };
        Ok(Self {
            progress: gpu.upload(&progress.words())?,
            plan: gpu.upload(&plan(&settings, planned))?,
            settings: Box::new(settings),
            planned,
            unit,
            gpu,
        })
    }

    /// Returns the GPU.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Returns the memory that holds the number of updates made.
    pub fn step(&self) -> Span<'_, u64> {
        self.gpu.span(&self.progress).head(1)
    }

    /// Uploads the settings of the update after `step` others, unless they are there.
    pub fn prepare(&mut self, step: u64) -> Result<()> {
        if step < self.planned + PLANNED {
            return Ok(());
        }
        self.gpu.write(&plan(&self.settings, step), &mut self.plan, 0)?;
        self.gpu.write(&[step], &mut self.progress, TrainingProgress::PLANNED)?;
        self.planned = step;
        Ok(())
    }

    /// Launches an update of everything that has a gradient.
    ///
    /// * `terms`: the terms of the loss, one number each.
    pub fn launch(&self, optimizer: &Optimizer, gradients: &GradStore, terms: [Option<&Tensor>; 3]) -> Result<()> {
        let settings = (self.settings)(self.planned);
        let dense = optimizer
            .slots
            .iter()
            .map(|slot| gradients.get(&slot.parameter.var).map(Tensor::contiguous).transpose())
            .collect::<candle_core::Result<Vec<_>>>()?;
        let mut held = Vec::new();
        for (slot, gradient) in optimizer.slots.iter().zip(&dense) {
            let gradient = gradient.as_ref().map(Held::new).transpose()?;
            held.push((gradient, Held::new(&slot.parameter.var)?, slot));
        }
        let mut parameters = Vec::new();
        for (gradient, value, slot) in &held {
            parameters.push(ParameterSpans {
                gradient: gradient.as_ref().map(Held::span).transpose()?,
                value: value.span()?,
                rate_scale: slot.rate_scale,
                decay: slot.decay(&settings),
            });
        }
        let state = Held::new(optimizer.memory())?;
        let mut scalars = Vec::new();
        for term in terms {
            scalars.push(term.map(Held::new).transpose()?);
        }
        let mut spans = [None; 3];
        for (span, term) in spans.iter_mut().zip(&scalars) {
            *span = term.as_ref().map(Held::span).transpose()?;
        }
        let update = ParameterUpdate {
            parameters,
            state: state.span()?,
            progress: self.gpu.span(&self.progress),
            plan: self.gpu.span(&self.plan),
            terms: spans,
            unit: self.unit,
            clip: settings.clip_norm,
            adam: settings.adam,
        };
        Ok(update.run(&self.gpu)?)
    }

    /// Waits until all launched work is done and returns the progress.
    pub fn read(&self) -> Result<TrainingProgress> {
        let words = self.gpu.read(&self.progress)?.try_into().ok();
        Ok(TrainingProgress::from_words(
            words.context("the progress on the GPU has another size")?,
        ))
    }

    /// Sets the sums of the terms to zero.
    pub fn begin_sums(&mut self) -> Result<()> {
        self.gpu.write(&[0], &mut self.progress, TrainingProgress::COUNT)?;
        Ok(self.gpu.write(&[0; 3], &mut self.progress, TrainingProgress::SUMS)?)
    }
}

/// Returns the settings of the steps from `step` on, as words for the GPU.
fn plan(settings: &dyn Fn(u64) -> Update, step: u64) -> Vec<u64> {
    (step..step + PLANNED)
        .flat_map(|step| settings(step).factors(step + 1).words())
        .collect()
}
