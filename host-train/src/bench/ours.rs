//! This program's side of the comparison.

use super::{Name, Request, Task};
use crate::fused::mlp::Mlp;
use crate::fused::square::mean_square;
use crate::fused::stack::Layer;
use crate::network::Parameter;
use crate::optimizer::{Adam, Optimizer, Update};
use anyhow::{Context, Result, bail, ensure};
use candle_core::{Device, Tensor, Var};
use serde_json::{Value, json};
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

/// Answers requests from standard input on standard output until it ends.
pub fn serve(input: impl BufRead, mut output: impl Write) -> Result<()> {
    let mut answer = |value: &Value| -> Result<()> {
        writeln!(output, "{value}")?;
        Ok(output.flush()?)
    };
    answer(&json!({"name": concat!("host-train ", env!("CARGO_PKG_VERSION"))}))?;
    let mut training = None;
    for line in input.lines() {
        let reply = match serde_json::from_str(&line?).map_err(Into::into) {
            Ok(request) => handle(request, &mut training),
            Err(error) => Err(error),
        };
        answer(&reply.unwrap_or_else(|error| json!({"error": format!("{error:#}")})))?;
    }
    Ok(())
}

fn handle(request: Request, training: &mut Option<Training>) -> Result<Value> {
    match request {
        Request::Prepare { mode, task, folder } => {
            *training = Some(Training::new(&mode, &task, &folder)?);
            Ok(json!({}))
        }
        Request::Losses { steps } => {
            let training = training.as_mut().context("nothing is prepared")?;
            let losses: Result<Vec<f32>> = (0..steps).map(|_| Ok(training.step()?.to_scalar()?)).collect();
            Ok(json!({"losses": losses?}))
        }
        Request::Time { steps } => {
            let training = training.as_mut().context("nothing is prepared")?;
            let begin = Instant::now();
            for _ in 0..steps {
                training.step()?;
            }
            Ok(json!({"seconds": begin.elapsed().as_secs_f64()}))
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
}

impl Training {
    fn new(mode: &str, task: &Task, folder: &Path) -> Result<Self> {
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
        let (weights, biases) = (read(folder, "weights")?, read(folder, "biases")?);
        let (ends, n) = ((task.widths.first(), task.widths.last()), task.batch);
        let (Some(&first), Some(&last)) = ends else {
            bail!("a network has widths")
        };
        let shaped =
            |name: &str, width| -> Result<Tensor> { Ok(read(folder, name)?.reshape((task.batches, n, width))?) };
        let fused = match mode {
            "fused" => Some(Mlp::new(layers, task.activation.into())?),
            "candle" => None,
            other => bail!("there is no mode `{other}`"),
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
        Ok(Self {
            optimizer: Optimizer::new(vec![slot("weights", &weights), slot("biases", &biases)])?,
            fused,
            inputs: shaped("inputs", first)?,
            targets: shaped("targets", last)?,
            weights,
            biases,
            task: task.clone(),
            done: 0,
        })
    }

    /// One step; its loss. The moving average and the norm that clipping asks for are computed too, as in every training here.
    fn step(&mut self) -> Result<Tensor> {
        let batch = self.done % self.task.batches;
        self.done += 1;
        let (z, target) = (self.inputs.get(batch)?, self.targets.get(batch)?);
        let loss = match &self.fused {
            Some(mlp) => {
                let index = vec![0; self.task.batch].into();
                mean_square(&mlp.forward(&z, &self.weights, &self.biases, index, &[])?, &target)?
            }
            None => (self.plain(&z)? - target)?.sqr()?.mean_all()?,
        };
        let update = Update {
            rate: self.task.rate,
            decay: self.task.decay,
            // The other side does not clip.
            clip_norm: f64::from(f32::MAX),
            ema: 0.999,
            adam: Adam {
                beta_1: self.task.beta_1,
                beta_2: self.task.beta_2,
                epsilon: self.task.epsilon,
            },
        };
        self.optimizer.update(&loss.backward()?, update)?;
        Ok(loss)
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

fn read(folder: &Path, name: &str) -> Result<Tensor> {
    let path = folder.join(name);
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let (chunks, rest) = bytes.as_chunks::<4>();
    ensure!(rest.is_empty(), "{} does not hold whole numbers", path.display());
    let values: Vec<f32> = chunks.iter().map(|b| f32::from_ne_bytes(*b)).collect();
    let n = values.len();
    Ok(Tensor::from_vec(values, n, &Device::Cpu)?)
}
