//! This program's side of the comparison.

#[cfg(feature = "cuda")]
use super::gpu;
use super::{Name, Request, Task, rate};
use crate::fused::adamw::Adam;
use crate::fused::mlp::Mlp;
use crate::fused::square::mean_square;
use crate::fused::stack::Layer;
use crate::model::parameter::Parameter;
use crate::optimizer::{Optimizer, Update};
use crate::train::device;
use anyhow::{Context, Result, bail, ensure};
use candle_core::{Device, Tensor, Var};
use serde_json::{Value, json};
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

/// Answers requests from standard input on standard output until it ends.
///
/// * `cuda`: on the first NVIDIA GPU.
pub fn serve(input: impl BufRead, mut output: impl Write, cuda: bool) -> Result<()> {
    let mut answer = |value: &Value| -> Result<()> {
        writeln!(output, "{value}")?;
        Ok(output.flush()?)
    };
    let device = match device::select_device(cuda) {
        Ok(device) => device,
        Err(error) => return answer(&json!({"error": format!("{error:#}")})),
    };
    answer(&json!({"name": concat!("host-train ", env!("CARGO_PKG_VERSION"))}))?;
    let mut training = None;
    for line in input.lines() {
        let reply = match serde_json::from_str(&line?).map_err(Into::into) {
            Ok(request) => handle(request, &mut training, &device),
            Err(error) => Err(error),
        };
        answer(&reply.unwrap_or_else(|error| json!({"error": format!("{error:#}")})))?;
    }
    Ok(())
}

fn handle(request: Request, training: &mut Option<Training>, device: &Device) -> Result<Value> {
    match request {
        Request::Prepare { mode, task, folder } => {
            // Its memory first: a GPU may not hold two.
            *training = None;
            let advice = format!("take a smaller batch than {}", task.batch);
            let made = Training::new(&mode, &task, &folder, device);
            *training = Some(made.map_err(|error| device::explain_memory_error(error, &advice))?);
            Ok(json!({}))
        }
        Request::Losses { steps } => {
            let training = training.as_mut().context("nothing is prepared")?;
            let losses: Result<Vec<f32>> = (0..steps).map(|_| training.loss_of_step()).collect();
            Ok(json!({"losses": losses?}))
        }
        Request::Time { steps } => {
            let training = training.as_mut().context("nothing is prepared")?;
            training.wait()?;
            let begin = Instant::now();
            for _ in 0..steps {
                training.step()?;
            }
            training.wait()?;
            Ok(json!({"seconds": begin.elapsed().as_secs_f64()}))
        }
        Request::Rate => {
            let training = training.as_ref().context("nothing is prepared")?;
            Ok(json!({"flops": rate::measured(device, training.task.products)?}))
        }
    }
}

/// All weights in one parameter, all biases in another.
struct Training {
    task: Task,
    fused: Option<Mlp>,
    weights: Var,
    biases: Var,
    optimizer: Optimizer,
    inputs: Tensor,
    targets: Tensor,
    done: usize,
    #[cfg(feature = "cuda")]
    on_gpu: Option<gpu::Steps>,
}

impl Training {
    fn new(mode: &str, task: &Task, folder: &Path, device: &Device) -> Result<Self> {
        let layers: Vec<Layer> = task
            .widths
            .iter()
            .zip(task.widths.iter().skip(1))
            .map(|(&columns, &rows)| Layer {
                rows,
                columns,
                residual: false,
            })
            .collect();
        let read = |name: &str| read(folder, name, device);
        let (weights, biases) = (read("weights")?, read("biases")?);
        let (ends, n) = ((task.widths.first(), task.widths.last()), task.batch);
        let (Some(&first), Some(&last)) = ends else {
            bail!("a network has widths")
        };
        let shaped = |name: &str, width| -> Result<Tensor> { Ok(read(name)?.reshape((task.batches, n, width))?) };
        let fused = match mode {
            "candle" => None,
            "fused" => Some(()),
            "graphs" if device.is_cuda() => Some(()),
            other => bail!("there is no mode `{other}` on this device"),
        };
        let fused = match fused {
            Some(()) => {
                let mut mlp = Mlp::new(layers, task.activation.into())?;
                mlp.set_products(task.products);
                Some(mlp)
            }
            None => None,
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
                (true, Some(_)) => Some(gpu::Steps::new(&inputs, &targets, settings(task), mode == "graphs")?),
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

    /// One step; its loss, where that is not left on a GPU. The moving average and the norm that clipping asks for are computed too, as
    /// in every training here.
    fn step(&mut self) -> Result<Option<Tensor>> {
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

    fn loss_of_step(&mut self) -> Result<f32> {
        match self.step()? {
            Some(loss) => Ok(loss.to_scalar()?),
            #[cfg(feature = "cuda")]
            None => self.on_gpu.as_mut().context("the loss is nowhere")?.loss(),
            #[cfg(not(feature = "cuda"))]
            None => bail!("the loss is nowhere"),
        }
    }

    /// Waits until everything that was asked for is done.
    fn wait(&self) -> Result<()> {
        Ok(self.weights.device().synchronize()?)
    }

    /// The outputs from candle's own operations.
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
                Name::Relu => sum.relu()?,
                Name::Silu => sum.silu()?,
            };
        }
        Ok(h)
    }
}

/// Of every update.
fn settings(task: &Task) -> Update {
    Update {
        rate: task.rate,
        decay: task.decay,
        // The other side does not clip.
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
    ensure!(rest.is_empty(), "{} does not hold whole numbers", path.display());
    let values: Vec<f32> = chunks.iter().map(|b| f32::from_ne_bytes(*b)).collect();
    let n = values.len();
    Ok(Tensor::from_vec(values, n, device)?)
}
