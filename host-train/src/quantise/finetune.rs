//! Fine-tuning: the integer network learns to give what the frozen float network gives.
//!
//! The forward pass *is* the integer network: weights are rounded to integers, sums are exact in `f64`, and a sum becomes an
//! activation by the core's own code ([`ancestral::Format::activate`]). Gradients pass the roundings straight through and stop where
//! something is clipped (Bengio et al. 2013; the units of weights and activations are learned as in Esser et al. 2020). The loss is what the error
//! of x̂ costs the ELBO. Training against the data again would make the samples worse: the teacher is the float model.

use super::integers::{IntegerFormat, Layer, Network, STATE_UNIT, weight_range};
use super::states::{Amount, Costs, States, collect};
use crate::data::Dataset;
use crate::rng::TrainRng;
use crate::runtime::{AnyModel, ModelFile};
use ancestral::format::RowFinish;
use ancestral::model::{LayerSpec, ModelSpec};
use ancestral::{F32, Q3_12};
use anyhow::{Context, Result, bail, ensure};
use candle_core::{CpuStorage, CustomOp1, CustomOp3, DType, Device, Layout, Shape, Tensor, Var};
use candle_nn::{AdamW, Optimizer as _, ParamsAdamW};
use serde::Serialize;

/// How to fine-tune.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct FineTune {
    /// Optimiser steps.
    pub steps: u64,
    /// States in a batch.
    pub batch: usize,
    /// Adam's rate at the start, or the format's own; it falls to a hundredth along a cosine.
    pub learning_rate: Option<f64>,
    /// Seed of the batches.
    pub seed: u64,
}

impl Default for FineTune {
    fn default() -> Self {
        Self {
            steps: 2000,
            batch: 256,
            learning_rate: None,
            seed: 1,
        }
    }
}

impl FineTune {
    /// Whether it can be done at all.
    pub fn check(&self) -> Result<()> {
        ensure!(self.steps > 0, "--steps 0 fine-tunes nothing: leave --finetune out");
        ensure!(
            self.batch > 0,
            "--batch 0 leaves nothing to learn from: at least 1 is needed"
        );
        let rate = self.learning_rate.unwrap_or(1.0);
        ensure!(
            rate.is_finite() && rate > 0.0,
            "--learning-rate {rate} is no rate: it must be a positive number"
        );
        Ok(())
    }
}

/// States to learn from, collected once: enough that each is seen a few times, few enough for memory.
const STATES: Amount = Amount {
    rows: 2000,
    chains: 1500,
    seed: 0xF17E,
};

/// About how often the network is judged on the way. On a fine grid the rounding that calibration chose is so good that training may
/// undo it before it improves on it, so the best network is kept, not the last.
const JUDGED: u64 = 8;

/// Trains `network` in place; it stays as it was where training makes it no better.
///
/// * `float`: the teacher, and where the network came from;
/// * `judge`: the error of a network on states that are not learned from;
/// * `progress(step, loss)`: called after each step with the batch's loss in nats per row.
pub fn run<F: IntegerFormat>(
    network: &mut Network,
    float: &ModelSpec<F32>,
    train: &Dataset,
    settings: &FineTune,
    judge: impl Fn(&Network) -> Result<f64>,
    progress: impl Fn(u64, f64),
) -> Result<()> {
    settings.check()?;
    let file = ModelFile::from_bytes(&float.to_bytes()?, "the float model".to_owned())?;
    let AnyModel::F32(model) = file.parse()? else {
        bail!("the teacher is the float model")
    };
    let states = collect(&model, train, &STATES);
    let device = Device::Cpu;
    let teacher = FloatNetwork::new(float, &device)?;
    let student = Student::<F>::new(network, &device)?;
    let table = StepTensors::new(&model, &device)?;
    let first_rate = settings.learning_rate.unwrap_or(F::RATE);
    let parameters = ParamsAdamW {
        lr: first_rate,
        weight_decay: 0.0,
        ..ParamsAdamW::default()
    };
    let mut optimizer = AdamW::new(student.parameters(), parameters)?;
    let mut rng = TrainRng::new(settings.seed);
    let mut least = judge(network)?;
    let diverged = || format!("fine-tuning diverged: lower --learning-rate (it is {first_rate})");
    for step in 0..settings.steps {
        let batch = Batch::draw(&states, settings.batch, &mut rng, &device)?;
        let target = teacher.forward(&batch)?;
        let target = table.estimate(&batch, &target)?.detach();
        // Integers that no longer fit are what a rate that is too high ends in.
        let output = (student.forward(&batch).with_context(diverged)? * STATE_UNIT)?;
        let estimate = table.estimate(&batch, &output)?;
        let loss = table.loss(&batch, &estimate, &target)?;
        let gradients = loss.backward()?;
        let phase = step as f64 / settings.steps as f64;
        let rate = first_rate * (0.01 + 0.99 * 0.5 * (1.0 + (std::f64::consts::PI * phase).cos()));
        optimizer.set_learning_rate(rate);
        optimizer.step(&gradients)?;
        let loss: f64 = loss.to_scalar()?;
        ensure!(loss.is_finite(), diverged());
        progress(step + 1, loss);
        if (step + 1) % (settings.steps / JUDGED).max(1) == 0 || step + 1 == settings.steps {
            let candidate = student.network()?;
            let error = judge(&candidate).with_context(diverged)?;
            if error < least {
                (least, *network) = (error, candidate);
            }
        }
    }
    Ok(())
}

/// States of a batch.
pub struct Batch {
    /// `(n, D)`, in units of the state (integers).
    z: Tensor,
    /// `n`, t − 1.
    row: Tensor,
    /// The same, for the integer layers.
    t: Vec<usize>,
}

impl Batch {
    /// The given states.
    pub fn new(states: &States, chosen: &[usize], device: &Device) -> Result<Self> {
        let mut z = Vec::with_capacity(chosen.len() * states.dim);
        let mut t = Vec::with_capacity(chosen.len());
        for &index in chosen {
            let state = states.z.get(index * states.dim..(index + 1) * states.dim);
            z.extend(
                state
                    .context("there is no such state")?
                    .iter()
                    .map(|q: &Q3_12| f64::from(q.0)),
            );
            t.push(*states.t.get(index).context("there is no such state")?);
        }
        let row: Vec<u32> = t.iter().map(|&t| t as u32 - 1).collect();
        Ok(Self {
            z: Tensor::from_vec(z, (chosen.len(), states.dim), device)?,
            row: Tensor::from_vec(row, chosen.len(), device)?,
            t,
        })
    }

    fn draw(states: &States, size: usize, rng: &mut TrainRng, device: &Device) -> Result<Self> {
        let chosen: Vec<usize> = (0..size).map(|_| rng.below(states.len())).collect();
        Self::new(states, &chosen, device)
    }
}

/// The constants of every step as tensors.
struct StepTensors {
    /// `(T, 1)`.
    skip: Tensor,
    /// `(T, 1)`.
    out: Tensor,
    /// `(T, D)`: what one unit of a squared component of the error costs.
    weight: Tensor,
    /// `(D, D)`: the components are along its columns.
    basis: Option<Tensor>,
    clip: bool,
    steps: usize,
}

impl StepTensors {
    fn new(model: &ancestral::Model<'_, F32>, device: &Device) -> Result<Self> {
        let table = model.step_table();
        let column = |values: Vec<f64>| Tensor::from_vec(values, (table.steps(), 1), device);
        let constants: Vec<_> = (1..=table.steps()).filter_map(|t| table.constants_at(t)).collect();
        let (costs, dim) = (Costs::new(model), model.dim());
        Ok(Self {
            skip: column(constants.iter().map(|c| f64::from(c.skip)).collect())?,
            out: column(constants.iter().map(|c| f64::from(c.out)).collect())?,
            weight: Tensor::from_vec(costs.weights, (table.steps(), dim), device)?,
            basis: match costs.basis.is_empty() {
                true => None,
                false => Some(Tensor::from_vec(costs.basis, (dim, dim), device)?),
            },
            clip: table.clip,
            steps: table.steps(),
        })
    }

    /// x̂ from f, `(n, D)`.
    fn estimate(&self, batch: &Batch, f: &Tensor) -> Result<Tensor> {
        let at = |t: &Tensor| t.index_select(&batch.row, 0);
        let z = (&batch.z * STATE_UNIT)?.broadcast_mul(&at(&self.skip)?)?;
        let x = (z + f.broadcast_mul(&at(&self.out)?)?)?;
        Ok(if self.clip { x.clamp(-1.0, 1.0)? } else { x })
    }

    /// Nats per row.
    fn loss(&self, batch: &Batch, estimate: &Tensor, target: &Tensor) -> Result<Tensor> {
        let mut error = (estimate - target)?;
        if let Some(basis) = &self.basis {
            error = error.matmul(basis)?;
        }
        let weighted = (error.sqr()? * self.weight.index_select(&batch.row, 0)?)?;
        Ok((weighted.sum(1)?.mean(0)? * self.steps as f64)?)
    }
}

/// The teacher, in `f32` for speed.
struct FloatNetwork {
    layers: Vec<(Tensor, Tensor, bool)>,
}

impl FloatNetwork {
    fn new(spec: &ModelSpec<F32>, device: &Device) -> Result<Self> {
        let layer = |layer: &LayerSpec<F32>| -> Result<_> {
            let weights = Tensor::from_slice(&layer.weights, (layer.rows, layer.columns), device)?.t()?;
            let entries = layer.biases.len() / layer.rows;
            let biases = Tensor::from_slice(&layer.biases, (entries, layer.rows), device)?;
            Ok((weights, biases, layer.residual))
        };
        Ok(Self {
            layers: spec.layers.iter().map(layer).collect::<Result<_>>()?,
        })
    }

    fn forward(&self, batch: &Batch) -> Result<Tensor> {
        let mut h = (&batch.z * STATE_UNIT)?.to_dtype(DType::F32)?;
        for (index, (weights, biases, residual)) in self.layers.iter().enumerate() {
            let sum = biased(&h.matmul(weights)?, biases, batch)?;
            h = match residual {
                _ if index + 1 == self.layers.len() => sum,
                true => (h + sum.relu()?)?,
                false => sum.relu()?,
            };
        }
        Ok(h.to_dtype(DType::F64)?)
    }
}

/// `sum + biases[t]`, where there may be one row of biases for all t.
fn biased(sum: &Tensor, biases: &Tensor, batch: &Batch) -> candle_core::Result<Tensor> {
    if biases.dim(0)? == 1 {
        sum.broadcast_add(biases)
    } else {
        sum + biases.index_select(&batch.row, 0)?
    }
}

/// The integer network with parameters that learn.
pub struct Student<F: IntegerFormat> {
    hidden: Var,
    exponents: Vec<u8>,
    layers: Vec<StudentLayer>,
    format: std::marker::PhantomData<F>,
}

struct StudentLayer {
    shape: Layer,
    /// `(rows, columns)`.
    weights: Var,
    /// Logarithms of the rows' units, `(rows, 1)`.
    units: Var,
    /// `(1 or T, rows)`.
    biases: Var,
}

impl<F: IntegerFormat> Student<F> {
    /// Begins where calibration ended.
    pub fn new(network: &Network, device: &Device) -> Result<Self> {
        let layers = network.layers.iter().map(|layer| -> Result<_> {
            let units: Vec<f64> = layer.units.iter().map(|u| u.ln()).collect();
            let entries = layer.biases.len() / layer.rows;
            Ok(StudentLayer {
                weights: Var::from_slice(&layer.weights, (layer.rows, layer.columns), device)?,
                units: Var::from_slice(&units, (layer.rows, 1), device)?,
                biases: Var::from_slice(&layer.biases, (entries, layer.rows), device)?,
                shape: Layer {
                    weights: Vec::new(),
                    units: Vec::new(),
                    biases: Vec::new(),
                    ..layer.clone()
                },
            })
        });
        Ok(Self {
            hidden: Var::from_slice(&[network.hidden_unit.ln()], (1, 1), device)?,
            exponents: network.exponents.clone(),
            layers: layers.collect::<Result<_>>()?,
            format: std::marker::PhantomData,
        })
    }

    fn parameters(&self) -> Vec<Var> {
        let of = |l: &StudentLayer| [l.weights.clone(), l.biases.clone(), l.units.clone()];
        let layers = self.layers.iter().flat_map(of);
        layers.chain([self.hidden.clone()]).collect()
    }

    /// The parameters in real units.
    pub fn network(&self) -> Result<Network> {
        let values = |t: &Tensor| -> Result<Vec<f64>> { Ok(t.flatten_all()?.to_vec1()?) };
        let layers = self.layers.iter().map(|layer| -> Result<_> {
            Ok(Layer {
                weights: values(&layer.weights)?,
                units: values(&layer.units.exp()?)?,
                biases: values(&layer.biases)?,
                ..layer.shape.clone()
            })
        });
        Ok(Network {
            hidden_unit: values(&self.hidden.exp()?)?.first().copied().context("no unit")?,
            exponents: self.exponents.clone(),
            layers: layers.collect::<Result<_>>()?,
        })
    }

    /// The power of two that the factors of layer `index` have at step t.
    fn exponent(&self, index: usize, t: usize) -> i32 {
        let exponent = i32::from(self.exponents.get(t - 1).copied().unwrap_or(0));
        exponent * (i32::from(index + 1 != self.layers.len()) - i32::from(index != 0))
    }

    /// The output f, `(n, D)`, in units of the state: the integers that the core computes.
    pub fn forward(&self, batch: &Batch) -> Result<Tensor> {
        let network = self.network()?;
        let integers = network.quantise::<F>()?;
        let hidden = self.hidden.exp()?;
        // What the hidden unit is divided by at each state's step, `(n, 1)`.
        let shrink: Vec<f64> = batch.t.iter().map(|t| network.shrink(t - 1)).collect();
        let shrink = Tensor::from_vec(shrink, (batch.t.len(), 1), batch.z.device())?;
        let mut h = batch.z.clone();
        for (index, (layer, spec)) in self.layers.iter().zip(integers.layers).enumerate() {
            let (low, high) = weight_range(layer.shape.bits);
            let units = layer.units.exp()?;
            let weights = layer
                .weights
                .broadcast_div(&units)?
                .apply_op1(RoundStraightThrough { low, high })?;
            let sum = h.matmul(&weights.t()?)?;
            let last = index + 1 == self.layers.len();
            // Units of the output in one unit of the sum, as a row.
            let mut factor = units.t()?;
            factor = if index == 0 {
                (factor * STATE_UNIT)?
            } else {
                factor.broadcast_mul(&hidden)?
            };
            let mut biases = layer.biases.as_tensor().clone();
            if last {
                factor = (factor / STATE_UNIT)?;
                biases = (biases / STATE_UNIT)?;
            } else {
                factor = factor.broadcast_div(&hidden)?;
                biases = biases.broadcast_div(&hidden)?;
            }
            let mut biases = if biases.dim(0)? == 1 {
                biases.broadcast_as(sum.shape())?.contiguous()?
            } else {
                biases.index_select(&batch.row, 0)?
            };
            if !last {
                biases = biases.broadcast_mul(&shrink)?;
            }
            let scale = match (index == 0, last) {
                (true, false) => Some(shrink.clone()),
                (false, true) => Some(shrink.recip()?),
                _ => None,
            };
            let (.., most) = network.ends::<F>(index);
            let residual = spec.residual;
            let y = sum.apply_op3(
                &biases,
                &factor.contiguous()?,
                Requantise::<F> {
                    spec,
                    exponents: batch.t.iter().map(|t| self.exponent(index, *t)).collect(),
                    t: batch.t.clone(),
                    scale,
                    last,
                    most,
                },
            )?;
            h = if residual {
                // The core's saturating addition.
                (h + y)?.apply_op1(RoundStraightThrough { low: -most, high: most })?
            } else {
                y
            };
        }
        Ok(h)
    }
}

/// Rounds and clips; the gradient passes where nothing was clipped.
struct RoundStraightThrough {
    low: f64,
    high: f64,
}

impl CustomOp1 for RoundStraightThrough {
    fn name(&self) -> &'static str {
        "round-straight-through"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let values = slice(storage, layout)?;
        let out = values.iter().map(|v| v.round().clamp(self.low, self.high)).collect();
        Ok((CpuStorage::F64(out), layout.shape().clone()))
    }

    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let inside = (arg.ge(self.low - 0.5)? * arg.le(self.high + 0.5)?)?;
        Ok(Some((grad * inside.to_dtype(DType::F64)?)?))
    }
}

/// From sums to outputs by the core's own code. Arguments: sums `(n, rows)`, biases in units of the output `(n, rows)`, and units
/// of the output in one unit of the sum `(1, rows)`; the last two are there for their gradients, their integers are in `spec`.
struct Requantise<F: IntegerFormat> {
    spec: LayerSpec<F>,
    t: Vec<usize>,
    /// The power of two that the factors have for each state.
    exponents: Vec<i32>,
    /// The same as numbers, `(n, 1)`, where it is not 1.
    scale: Option<Tensor>,
    last: bool,
    /// The largest output.
    most: f64,
}

impl<F: IntegerFormat> CustomOp3 for Requantise<F> {
    fn name(&self) -> &'static str {
        "requantise"
    }

    fn cpu_fwd(
        &self,
        sums: &CpuStorage,
        layout: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let sums = slice(sums, layout)?;
        let rows = self.spec.rows;
        let mut out = Vec::with_capacity(sums.len());
        for ((sums, &t), &exponent) in sums.chunks_exact(rows).zip(&self.t).zip(&self.exponents) {
            let first = if self.spec.biases.len() == rows {
                0
            } else {
                (t - 1) * rows
            };
            let biases = self.spec.biases.iter().skip(first);
            for ((&sum, &bias), &requant) in sums.iter().zip(biases).zip(&self.spec.requant) {
                // The core adds the offset to a sum of stored activations; this sum is of the activations themselves.
                let sum = (sum as i32).wrapping_sub(F::offset(requant));
                let requant = F::scaled(requant, exponent);
                let row = RowFinish { bias, requant };
                out.push(f64::from(if self.last {
                    i32::from(F::output(row, sum))
                } else {
                    F::value(F::activate(row, sum, self.spec.relu, None))
                }));
            }
        }
        Ok((CpuStorage::F64(out), layout.shape().clone()))
    }

    fn bwd(
        &self,
        sums: &Tensor,
        biases: &Tensor,
        factor: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let sums = match &self.scale {
            Some(scale) => &sums.broadcast_mul(scale)?,
            None => sums,
        };
        let value = (sums.broadcast_mul(factor)? + biases)?;
        let least = if self.spec.relu { 0.0 } else { -self.most - 1.0 };
        let inside = (value.ge(least)? * value.le(self.most)?)?.to_dtype(DType::F64)?;
        let grad = (grad * inside)?;
        let of_factor = (&grad * sums)?.sum_keepdim(0)?;
        let of_sums = grad.broadcast_mul(factor)?;
        let of_sums = match &self.scale {
            Some(scale) => of_sums.broadcast_mul(scale)?,
            None => of_sums,
        };
        Ok((Some(of_sums), Some(grad), Some(of_factor)))
    }
}

fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [f64]> {
    let (CpuStorage::F64(values), Some((start, end))) = (storage, layout.contiguous_offsets()) else {
        candle_core::bail!("this operation takes contiguous f64")
    };
    values
        .get(start..end)
        .ok_or_else(|| candle_core::Error::Msg("a tensor is shorter than its layout".into()))
}
