//! Checkpoints: a safetensors file with the parameters, the optimiser's state, the generator and the configuration.
//!
//! Two kinds share the format. A *training* checkpoint has everything that a run continues from, bit for bit. A
//! *weights* file has the averaged parameters alone, a quarter of the size; it can be exported but not resumed.

use crate::data::{Split, ValueKind};
use crate::files::write_atomically;
use crate::model::gamma::GammaTable;
use crate::model::network::{Network, Shape};
use crate::model::variance::VarianceKind;
use crate::model::variance::VarianceTable;
use crate::optimizer::{Optimizer, Slot};
use crate::rng::TrainRng;
use crate::train::config::{Config, TrainConfig};
use ancestral::model::VarianceSpec;
use anyhow::{Context, Result, anyhow, bail, ensure};
use candle_core::{Device, Tensor};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Name of the training checkpoint in a run's folder.
pub const CHECKPOINT: &str = "checkpoint.safetensors";
/// Name of the weights file in a run's folder.
pub const WEIGHTS: &str = "weights.safetensors";

const FORMAT: &str = "ancestral-checkpoint-1";

/// A network with its schedule and everything that training it goes on from.
pub struct Run {
    /// Its configuration.
    pub config: Config,
    /// Dimensions of the data.
    pub dim: usize,
    /// What the data's numbers mean.
    pub kind: ValueKind,
    /// The network.
    pub network: Network,
    /// The schedule.
    pub gamma: GammaTable,
    /// The reverse variance, where it is not the posterior's own.
    pub variance: Option<VarianceTable>,
    /// The optimiser.
    pub optimizer: Optimizer,
    /// The generator.
    pub rng: TrainRng,
    /// Terms summed since the last row of the loss log, in bits/dim, and over how many steps.
    pub pending: ([f64; 3], u64),
}

impl Run {
    /// A run that has not begun.
    pub fn new(config: Config, dim: usize, kind: ValueKind, device: &Device) -> Result<Self> {
        let mut rng = TrainRng::new(config.seed);
        let shape = Shape {
            dim,
            hidden: config.model.hidden.clone(),
            embedding: config.model.embedding,
        };
        let mut network = Network::new(shape, &mut rng, device)?;
        network.set_products(config.train.products);
        let m = &config.model;
        let gamma = GammaTable::new(m.gamma_first, m.gamma_last, m.steps, m.gamma, m.learn_gamma, device)?;
        let rate_scale = gamma_rate_scale(&config.train);
        let mut parameters: Vec<_> = network.parameters().into_iter().map(|p| (p, 1.0)).collect();
        let variance = match m.variance {
            VarianceKind::Posterior => None,
            kind => Some(VarianceTable::new(m.steps, dim, kind == VarianceKind::Rotated, device)?),
        };
        let of_variance = variance.iter().flat_map(VarianceTable::parameters);
        parameters.extend(
            gamma
                .parameters()
                .into_iter()
                .chain(of_variance)
                .map(|p| (p, rate_scale)),
        );
        Ok(Self {
            config,
            dim,
            kind,
            network,
            gamma,
            variance,
            optimizer: Optimizer::new(parameters)?,
            rng,
            pending: ([0.0; 3], 0),
        })
    }

    /// Goes on under other settings of the optimisation.
    pub fn set_train(&mut self, train: TrainConfig) {
        let scale = gamma_rate_scale(&train);
        let of_network = self.network.parameters().len();
        for slot in self.optimizer.slots.iter_mut().skip(of_network) {
            slot.rate_scale = scale;
        }
        self.network.set_products(train.products);
        self.config.train = train;
    }

    /// A run for a data set.
    pub fn for_data(config: Config, split: &Split, device: &Device) -> Result<Self> {
        if let ValueKind::Continuous { .. } = split.train.kind {
            ensure!(
                !config.model.clip,
                "model.clip is true, but the data is continuous and has no range to clip to: set it to false"
            );
        }
        if let ValueKind::Levels { levels } = split.train.kind {
            ensure!(
                levels <= 256,
                "data.levels is {levels}: the runtime holds a level in a byte, so at most 256"
            );
        }
        ensure!(
            split.train.dim <= usize::from(u16::MAX),
            "the data has {} dimensions: a model file holds at most 65535",
            split.train.dim
        );
        Self::new(config, split.train.dim, split.train.kind.clone(), device)
    }

    /// A run that begins where another ended, with other steps.
    ///
    /// * `base`: with its averaged parameters in place; of the same data and widths;
    /// * `gamma`: one more than the steps that the configuration asks for;
    /// * `variance`: where it asks for one of its own.
    pub fn continued(config: Config, base: &Run, gamma: &[f64], variance: Option<&VarianceSpec>) -> Result<Self> {
        let device = base.device();
        let same = [
            ("hidden", config.model.hidden == base.config.model.hidden),
            ("embedding", config.model.embedding == base.config.model.embedding),
            ("prediction", config.model.prediction == base.config.model.prediction),
        ];
        if let Some((key, _)) = same.iter().find(|(_, same)| !same) {
            bail!("model.{key} is not that of the run to begin from: use the same");
        }
        let steps = config.model.steps;
        let mut run = Self::new(config, base.dim, base.kind.clone(), device)?;
        for (to, from) in run.network.parameters().iter().zip(base.network.parameters()) {
            to.var.set(&from.var)?;
        }
        ensure!(
            gamma.len() == steps + 1,
            "{} values of gamma are no table of {steps} steps",
            gamma.len()
        );
        run.gamma.set(gamma)?;
        if let (Some(to), Some(from)) = (&run.variance, variance) {
            to.set(from)?;
        }
        run.adopt()?;
        Ok(run)
    }

    /// Where the parameters are.
    pub fn device(&self) -> &Device {
        let slot = self.optimizer.slots.first();
        slot.map_or(&Device::Cpu, |slot| slot.state.device())
    }

    /// Begins the optimiser's state, averages included, anew from the parameters as they are.
    pub fn adopt(&mut self) -> Result<()> {
        Ok(self.optimizer.slots.iter_mut().try_for_each(Slot::begin)?)
    }

    /// Writes a training checkpoint.
    pub fn save(&self, path: &Path) -> Result<()> {
        let states = self
            .optimizer
            .slots
            .iter()
            .map(|slot| (slot.parameter.name.clone(), slot.state.clone()));
        let mut metadata = self.metadata("training")?;
        metadata.insert("step".into(), self.optimizer.step.to_string());
        metadata.insert("rng".into(), serde_json::to_string(&self.rng)?);
        metadata.insert("pending".into(), serde_json::to_string(&self.pending)?);
        write(path, states.collect(), metadata)
    }

    /// Writes the averaged parameters alone.
    pub fn save_weights(&self, path: &Path) -> Result<()> {
        let mut tensors = Vec::new();
        for slot in &self.optimizer.slots {
            let average = slot.state.get(3)?.reshape(slot.parameter.var.shape())?;
            tensors.push((slot.parameter.name.clone(), average));
        }
        write(path, tensors, self.metadata("weights")?)
    }

    fn metadata(&self, contents: &str) -> Result<HashMap<String, String>> {
        let mut metadata = HashMap::from([
            ("format".to_owned(), FORMAT.to_owned()),
            ("contents".to_owned(), contents.to_owned()),
            ("config".to_owned(), self.config.to_toml()?),
            ("dim".to_owned(), self.dim.to_string()),
        ]);
        if let ValueKind::Continuous { mean, scale } = &self.kind {
            metadata.insert("mean".into(), serde_json::to_string(mean)?);
            metadata.insert("scale".into(), serde_json::to_string(scale)?);
        }
        if let ValueKind::Levels { levels } = self.kind {
            metadata.insert("levels".into(), levels.to_string());
        }
        Ok(metadata)
    }

    /// Reads a training checkpoint to go on from.
    pub fn resume(path: &Path, device: &Device) -> Result<Self> {
        let (run, contents) = Self::read(path, device)?;
        ensure!(
            contents == "training",
            "{} holds weights alone and cannot be resumed: use the run's {CHECKPOINT}",
            path.display()
        );
        Ok(run)
    }

    /// Reads either kind with the averaged parameters in place. A run's folder stands for the weights in it, or its
    /// checkpoint if training has not ended.
    pub fn averaged(path: &Path, device: &Device) -> Result<Self> {
        let path = if path.is_dir() { file_in(path)? } else { path.to_owned() };
        let (run, _) = Self::read(&path, device)?;
        run.optimizer.show_average()?;
        Ok(run)
    }

    fn read(path: &Path, device: &Device) -> Result<(Self, String)> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read the checkpoint {}", path.display()))?;
        Self::from_bytes(&bytes, device).with_context(|| {
            format!(
                "{} is not a usable checkpoint: train again, or take an earlier copy",
                path.display()
            )
        })
    }

    fn from_bytes(bytes: &[u8], device: &Device) -> Result<(Self, String)> {
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let metadata = header
            .metadata()
            .as_ref()
            .ok_or_else(|| anyhow!("it has no metadata"))?;
        let get = |key: &str| metadata.get(key).ok_or_else(|| anyhow!("its metadata lacks `{key}`"));
        ensure!(
            get("format")? == FORMAT,
            "its format is `{}`, not `{FORMAT}`",
            get("format")?
        );
        let config = Config::parse(get("config")?)?;
        let kind = match metadata.get("levels") {
            Some(levels) => ValueKind::Levels {
                levels: levels.parse()?,
            },
            None => ValueKind::Continuous {
                mean: serde_json::from_str(get("mean")?)?,
                scale: serde_json::from_str(get("scale")?)?,
            },
        };
        let mut run = Self::new(config, get("dim")?.parse()?, kind, device)?;
        let contents = get("contents")?.clone();
        let training = contents == "training";
        if training {
            run.optimizer.step = get("step")?.parse()?;
            run.rng = serde_json::from_str(get("rng")?)?;
            run.pending = serde_json::from_str(get("pending")?)?;
        }
        let tensors = SafeTensors::deserialize(bytes)?;
        for slot in &mut run.optimizer.slots {
            let name = slot.parameter.name.clone();
            let view = tensors
                .tensor(&name)
                .map_err(|_| anyhow!("it lacks the tensor `{name}`"))?;
            let tensor = read_tensor(&view, device).with_context(|| format!("tensor `{name}`"))?;
            let expected = if training {
                slot.state.shape()
            } else {
                slot.parameter.var.shape()
            };
            ensure!(
                tensor.shape() == expected,
                "tensor `{name}` is {:?}, not {expected:?}",
                tensor.shape()
            );
            let state = if training {
                tensor
            } else {
                let value = tensor.flatten_all()?;
                let zero = value.zeros_like()?;
                Tensor::stack(&[&value, &zero, &zero, &value], 0)?
            };
            slot.restore(&state)?;
        }
        Ok((run, contents))
    }
}

/// What the learning rate of the network is multiplied with for the γ table.
fn gamma_rate_scale(train: &TrainConfig) -> f64 {
    if train.learning_rate > 0.0 {
        train.gamma_learning_rate / train.learning_rate
    } else {
        0.0
    }
}

/// Moves what an earlier run left in a folder into the first free `previous-N` inside it, so that nothing is lost and nothing of it
/// passes for a later run's. Returns that folder, or `None` if there was nothing.
pub fn put_aside(folder: &Path, names: &[&str]) -> Result<Option<PathBuf>> {
    let old: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| folder.join(name).exists())
        .collect();
    if old.is_empty() {
        return Ok(None);
    }
    let mut number = 1u32;
    let mut target = folder.join(format!("previous-{number}"));
    while target.exists() {
        number += 1;
        target = folder.join(format!("previous-{number}"));
    }
    std::fs::create_dir(&target).with_context(|| format!("cannot make the folder {}", target.display()))?;
    for name in old {
        std::fs::rename(folder.join(name), target.join(name))
            .with_context(|| format!("cannot move the earlier {} out of the way", folder.join(name).display()))?;
    }
    Ok(Some(target))
}

/// The checkpoint that a run's folder stands for.
fn file_in(folder: &Path) -> Result<PathBuf> {
    for name in [WEIGHTS, CHECKPOINT] {
        let path = folder.join(name);
        if path.is_file() {
            return Ok(path);
        }
    }
    bail!(
        "{} holds neither {WEIGHTS} nor {CHECKPOINT}: name the --out folder of `host-train train`",
        folder.display()
    )
}

fn read_tensor(view: &TensorView<'_>, device: &Device) -> Result<Tensor> {
    ensure!(view.dtype() == Dtype::F32, "its type is {:?}, not F32", view.dtype());
    let values: Vec<f32> = view
        .data()
        .chunks_exact(4)
        .map(|b| match b {
            &[a, b, c, d] => f32::from_le_bytes([a, b, c, d]),
            _ => f32::NAN,
        })
        .collect();
    ensure!(
        values.iter().all(|v| v.is_finite()),
        "it holds a value that is not finite"
    );
    Ok(Tensor::from_vec(values, view.shape(), device)?)
}

fn write(path: &Path, tensors: Vec<(String, Tensor)>, metadata: HashMap<String, String>) -> Result<()> {
    let mut bytes = Vec::new();
    for (name, tensor) in tensors {
        let values: Vec<f32> = tensor.flatten_all()?.to_vec1()?;
        let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        bytes.push((name, tensor.dims().to_vec(), raw));
    }
    let mut views = Vec::new();
    for (name, shape, raw) in &bytes {
        views.push((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), raw)?));
    }
    let file = safetensors::serialize(views, Some(metadata))?;
    write_atomically(path, |out| Ok(out.write_all(&file)?))
}
