//! The state of a training run.

use super::config::{Config, DecoderKind, TrainConfig, read_out};
use super::loss::Objective;
use super::pending::PendingLoss;
use super::validations::ValidationRecord;
use crate::data::{Split, ValueKind};
use crate::model::gamma::GammaTable;
use crate::model::network::{Network, NetworkShape};
use crate::model::read_out::ReadOut;
use crate::model::variance::{VarianceKind, VarianceTable};
use crate::optimizer::{Optimizer, Slot};
use crate::rng::TrainRng;
use ancestral::model::VarianceSpec;
use anyhow::{Result, bail, ensure};
use candle_core::{Device, Tensor};

/// A model and everything that its training continues from.
pub struct Run {
    /// Configuration.
    pub config: Config,
    /// Dimensions of the data.
    pub dim: usize,
    /// Meaning of the data's values.
    pub kind: ValueKind,
    read_out: ReadOut,
    /// The network.
    pub network: Network,
    /// The schedule.
    pub gamma: GammaTable,
    /// The reverse variance, unless it is the posterior's.
    pub variance: Option<VarianceTable>,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// The sequential generator.
    pub rng: TrainRng,
    /// Sums of the loss since the last row of the loss log.
    pub pending: PendingLoss,
    /// The best averaged parameters by the validation rows.
    pub validations: ValidationRecord,
    /// Its variances were fitted on rows that it was not trained on.
    pub refitted: bool,
}

impl Run {
    /// A run before its first step.
    ///
    /// # Errors
    /// Fails if the read-out of the configuration does not suit the data.
    pub fn new(config: Config, dim: usize, kind: ValueKind, device: &Device) -> Result<Self> {
        let mut rng = TrainRng::new(config.seed);
        let shape = NetworkShape {
            dim,
            hidden: config.model.hidden.clone(),
            embedding: config.model.embedding,
        };
        let mut network = Network::new(shape, &mut rng, device)?;
        network.set_products(config.train.products);
        let m = &config.model;
        let read_out = read_out(m.prediction, m.decoder, m.clip, &kind, config.data.range.is_some())?;
        let start = m.gamma_start(&kind)?;
        let ends = (start.first, start.last);
        let gamma = GammaTable::new(ends, start.bounds, m.steps, m.gamma, m.learn_gamma, device)?;
        let variance = match m.variance_of(&kind) {
            VarianceKind::Posterior => None,
            variance => {
                let decoder = m.decoder == DecoderKind::Network && matches!(kind, ValueKind::Continuous { .. });
                let rotated = variance == VarianceKind::Rotated;
                Some(VarianceTable::new(m.steps, dim, rotated, decoder, device)?)
            }
        };
        let rate_scale = gamma_rate_scale(&config.train);
        let variance_parameters = variance.iter().flat_map(VarianceTable::parameters);
        let table_parameters = gamma.parameters().into_iter().chain(variance_parameters);
        let mut parameters: Vec<_> = network.parameters().into_iter().map(|p| (p, 1.0)).collect();
        parameters.extend(table_parameters.map(|p| (p, rate_scale)));
        Ok(Self {
            config,
            dim,
            kind,
            read_out,
            network,
            gamma,
            variance,
            optimizer: Optimizer::new(parameters)?,
            rng,
            pending: PendingLoss::default(),
            validations: ValidationRecord::default(),
            refitted: false,
        })
    }

    /// A run for a data set, before its first step.
    ///
    /// # Errors
    /// Fails if the configuration does not suit the data, or if a model file cannot hold it.
    pub fn for_data(config: Config, split: &Split, device: &Device) -> Result<Self> {
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

    /// A run that starts from another run's network, with its own table of steps.
    ///
    /// * `base`: with its averaged parameters in place; of the same data and widths;
    /// * `gamma`: one value more than the steps of the configuration;
    /// * `variance`: for a configuration with a learned variance.
    pub fn continued(config: Config, base: &Run, gamma: &[f64], variance: Option<&VarianceSpec>) -> Result<Self> {
        let device = base.device();
        let same = [
            ("hidden", config.model.hidden == base.config.model.hidden),
            ("embedding", config.model.embedding == base.config.model.embedding),
            ("decoder", config.model.decoder == base.config.model.decoder),
            ("prediction", config.model.prediction == base.config.model.prediction),
            ("clip", config.model.clip == base.config.model.clip),
        ];
        if let Some((key, _)) = same.iter().find(|(_, same)| !same) {
            bail!("model.{key} differs from that of the run to start from: use the same");
        }
        let steps = config.model.steps;
        let mut run = Self::new(config, base.dim, base.kind.clone(), device)?;
        for (to, from) in run.network.parameters().iter().zip(base.network.parameters()) {
            to.var.set(&from.var)?;
        }
        ensure!(
            gamma.len() == steps + 1,
            "a table of {steps} steps has {} values of gamma, not {}",
            steps + 1,
            gamma.len()
        );
        run.gamma.set(gamma)?;
        if let (Some(to), Some(from)) = (&run.variance, variance) {
            to.set(from)?;
        }
        run.adopt()?;
        Ok(run)
    }

    /// Replaces the settings of the optimization.
    pub fn set_train(&mut self, train: TrainConfig) {
        let scale = gamma_rate_scale(&train);
        let network_parameters = self.network.parameters().len();
        for slot in self.optimizer.slots.iter_mut().skip(network_parameters) {
            slot.rate_scale = scale;
        }
        self.network.set_products(train.products);
        self.config.train = train;
    }

    /// Returns how the network's output becomes an estimate of the data.
    pub fn read_out(&self) -> ReadOut {
        self.read_out
    }

    /// Returns true once all steps are done, or once the validation rows have ended the training.
    pub fn has_ended(&self) -> bool {
        let train = &self.config.train;
        let out_of_patience = train.patience.is_some_and(|p| self.validations.since_best >= p);
        self.optimizer.step >= train.steps || out_of_patience
    }

    /// Returns the parameters that a run is trained for, in the optimizer's order: the best averages by the validation
    /// rows, or the last averages without such rows.
    pub fn final_weights(&self) -> Result<Vec<Tensor>> {
        match &self.validations.best {
            Some(best) => Ok(best.weights.clone()),
            None => Ok(self
                .optimizer
                .slots
                .iter()
                .map(Slot::average)
                .collect::<candle_core::Result<_>>()?),
        }
    }

    /// Puts the final weights in place, as parameters, averages and start of a further training.
    pub fn show_final(&mut self) -> Result<()> {
        for (slot, weights) in self.optimizer.slots.iter().zip(self.final_weights()?) {
            slot.parameter.var.set(&weights)?;
        }
        self.adopt()
    }

    /// Returns the device of the parameters.
    pub fn device(&self) -> &Device {
        let slot = self.optimizer.slots.first();
        slot.map_or(&Device::Cpu, |slot| slot.state.device())
    }

    /// Returns the quantity that training minimizes.
    ///
    /// * `levels`: of discretized data, or `None`.
    pub fn objective(&self, levels: Option<u16>) -> Objective<'_> {
        Objective {
            network: &self.network,
            gamma: &self.gamma,
            variance: self.variance.as_ref(),
            read_out: self.read_out,
            decoder: self.config.model.decoder,
            levels,
        }
    }

    /// Restarts the optimizer's state, averages included, from the present parameters. Earlier weights that validation
    /// rows found the best are forgotten.
    pub fn adopt(&mut self) -> Result<()> {
        self.validations = ValidationRecord::default();
        Ok(self.optimizer.slots.iter_mut().try_for_each(Slot::restart)?)
    }
}

/// Returns the factor of the learning rate for γ and the variances.
fn gamma_rate_scale(train: &TrainConfig) -> f64 {
    if train.learning_rate > 0.0 {
        train.gamma_learning_rate / train.learning_rate
    } else {
        0.0
    }
}
