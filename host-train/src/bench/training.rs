//! This program as a contender: the training.

#[cfg(feature = "cuda")]
use super::gpu;
use super::task::Task;
use crate::fused::adamw::Adam;
use crate::fused::device::Products;
use crate::fused::lanes::Activation;
use crate::fused::mlp::Mlp;
use crate::fused::square::mean_square;
use crate::fused::stack::LayerShape;
use crate::model::parameter::Parameter;
use crate::optimizer::{Optimizer, Update};
use anyhow::{Context, Result, bail, ensure};
use candle_core::{Device, Tensor, Var};
use std::path::Path;

/// A prepared training: all weights in one parameter, all biases in another.
pub(super) struct BenchTraining {
    task: Task,
    fused: Option<Mlp>,
    weights: Var,
    biases: Var,
    optimizer: Optimizer,
    inputs: Tensor,
    targets: Tensor,
    done: usize,
    #[cfg(feature = "cuda")]
    on_gpu: Option<gpu::GpuSteps>,
}

impl BenchTraining {
    /// Reads the files that [`Task::write`] wrote into `folder`.
    pub(super) fn new(mode: &str, task: &Task, folder: &Path, device: &Device) -> Result<Self> {
        let read = |name: &str| read(folder, name, device);
        let (weights, biases) = (read("weights")?, read("biases")?);
        let (ends, n) = ((task.widths.first(), task.widths.last()), task.batch);
        let (Some(&first), Some(&last)) = ends else {
            bail!("the task has no widths: give at least those of the inputs and outputs")
        };
        let shaped = |name: &str, width| -> Result<Tensor> { Ok(read(name)?.reshape((task.batches, n, width))?) };
        let fused = match mode {
            "candle" => None,
            "fused" => Some(fused_network(task)?),
            "graphs" if device.is_cuda() => Some(fused_network(task)?),
            other => bail!("unknown mode `{other}` on this device: use candle, fused or, on a GPU, graphs"),
        };
        let biases = biases.reshape((1, ()))?;
        let (weights, biases) = (Var::from_tensor(&weights)?, Var::from_tensor(&biases)?);
        let slot = |name: &str, var: &Var| {
            let parameter = Parameter {
                name: name.into(),
                var: var.clone(),
                decays: true,
            };
            (parameter, 1.0)
        };
        let (inputs, targets) = (shaped("inputs", first)?, shaped("targets", last)?);
        Ok(Self {
            #[cfg(feature = "cuda")]
            on_gpu: match (device.is_cuda(), &fused) {
                (true, Some(_)) => Some(gpu::GpuSteps::new(&inputs, &targets, settings(task), mode == "graphs")?),
                _ => None,
            },
            optimizer: Optimizer::new(vec![slot("weights", &weights), slot("biases", &biases)])?,
            fused,
            inputs,
            targets,
            weights,
            biases,
            task: task.clone(),
            done: 0,
        })
    }

    /// Number format of a GPU's products.
    pub(super) fn products(&self) -> Products {
        self.task.products
    }

    /// Makes one step. Returns its loss, unless that is left on a GPU.
    ///
    /// The moving average and the norm for clipping are computed too, as in every training here.
    pub(super) fn step(&mut self) -> Result<Option<Tensor>> {
        let batch = self.done % self.task.batches;
        let (z, target) = (self.inputs.get(batch)?, self.targets.get(batch)?);
        #[cfg(feature = "cuda")]
        if let (Some(steps), Some(mlp)) = (&mut self.on_gpu, &self.fused) {
            let (weights, biases) = (&self.weights, &self.biases);
            steps.step((&z, &target), self.done as u64, &self.optimizer, |z, target, index| {
                Ok(mean_square(
                    &mlp.forward(z, weights, biases, index.clone(), &[])?,
                    target,
                )?)
            })?;
            self.done += 1;
            return Ok(None);
        }
        self.done += 1;
        let loss = match &self.fused {
            Some(mlp) => {
                let index = vec![0; self.task.batch].into();
                mean_square(&mlp.forward(&z, &self.weights, &self.biases, index, &[])?, &target)?
            }
            None => (self.plain(&z)? - target)?.sqr()?.mean_all()?,
        };
        self.optimizer.update(&loss.backward()?, settings(&self.task))?;
        Ok(Some(loss))
    }

    /// Makes one step and returns its loss.
    pub(super) fn loss_of_step(&mut self) -> Result<f32> {
        match self.step()? {
            Some(loss) => Ok(loss.to_scalar()?),
            #[cfg(feature = "cuda")]
            None => self
                .on_gpu
                .as_mut()
                .context("the step left its loss on a GPU, and this training is not on one")?
                .loss(),
            #[cfg(not(feature = "cuda"))]
            None => bail!("the step left its loss on a GPU, and this training is not on one"),
        }
    }

    /// Waits until everything that was launched is done.
    pub(super) fn wait(&self) -> Result<()> {
        Ok(self.weights.device().synchronize()?)
    }

    /// Returns the outputs, computed by candle's own operations.
    fn plain(&self, z: &Tensor) -> Result<Tensor> {
        let (mut h, mut weight, mut bias) = (z.clone(), 0, 0);
        let layers = self.task.widths.len() - 1;
        for (i, (&columns, &rows)) in self.task.widths.iter().zip(self.task.widths.iter().skip(1)).enumerate() {
            let matrix = self
                .weights
                .narrow(0, weight, rows * columns)?
                .reshape((rows, columns))?;
            let sum = h
                .matmul(&matrix.t()?)?
                .broadcast_add(&self.biases.narrow(1, bias, rows)?)?;
            (weight, bias) = (weight + rows * columns, bias + rows);
            h = match self.task.activation {
                _ if i + 1 == layers => sum,
                Activation::Relu => sum.relu()?,
                Activation::Silu => sum.silu()?,
            };
        }
        Ok(h)
    }
}

fn fused_network(task: &Task) -> Result<Mlp> {
    let widths = task.widths.iter().zip(task.widths.iter().skip(1));
    let layer = |(&columns, &rows): (&usize, &usize)| LayerShape {
        rows,
        columns,
        residual: false,
    };
    let mut mlp = Mlp::new(widths.map(layer).collect(), task.activation)?;
    mlp.set_products(task.products);
    Ok(mlp)
}

/// Returns the settings of every update.
fn settings(task: &Task) -> Update {
    Update {
        rate: task.rate,
        decay: task.decay,
        // PyTorch's side does not clip.
        clip_norm: f64::from(f32::MAX),
        ema: 0.999,
        adam: Adam {
            beta_1: task.beta_1,
            beta_2: task.beta_2,
            epsilon: task.epsilon,
        },
    }
}

fn read(folder: &Path, name: &str, device: &Device) -> Result<Tensor> {
    let path = folder.join(name);
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let (chunks, rest) = bytes.as_chunks::<4>();
    ensure!(
        rest.is_empty(),
        "{} does not hold a whole number of f32: write the task again",
        path.display()
    );
    let values: Vec<f32> = chunks.iter().map(|b| f32::from_ne_bytes(*b)).collect();
    let n = values.len();
    Ok(Tensor::from_vec(values, n, device)?)
}
