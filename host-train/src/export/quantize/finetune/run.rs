//! The training loop.

use super::batch::StateBatch;
use super::float_network::FloatNetwork;
use super::settings::FineTune;
use super::step_tensors::StepTensors;
use super::student::Student;
use crate::data::Dataset;
use crate::export::quantize::formats::IntegerFormat;
use crate::export::quantize::integers::{STATE_UNIT, ScaledNetwork};
use crate::export::quantize::states::{Amount, collect};
use crate::rng::TrainRng;
use crate::runtime::model_file::{AnyModel, ModelFile};
use ancestral::F32;
use ancestral::model::ModelSpec;
use anyhow::{Context, Result, bail, ensure};
use candle_core::Device;
use candle_nn::{AdamW, Optimizer as _, ParamsAdamW};

/// States to train on, collected once: so many that each is seen a few times only, yet few enough for memory.
const TRAINING_STATES: Amount = Amount {
    rows: 2000,
    chains: 1500,
    seed: 0xF17E,
};

/// Approximate number of times that the network is measured on the way.
///
/// On a fine grid the rounding of calibration is so good that training may undo it before it improves on it. So the
/// best network is kept, not the last.
const MEASUREMENTS: u64 = 8;

/// Trains `network` in place; it stays as it was if training makes it no better.
///
/// * `float`: the teacher, which the network was made from;
/// * `error_of`: measures the error of a network on states that are not trained on;
/// * `progress(step, loss)`: called after each step with the batch's loss in nats per row.
pub fn finetune<F: IntegerFormat>(
    network: &mut ScaledNetwork,
    float: &ModelSpec<F32>,
    train: &Dataset,
    settings: &FineTune,
    error_of: impl Fn(&ScaledNetwork) -> Result<f64>,
    progress: impl Fn(u64, f64),
) -> Result<()> {
    settings.check()?;
    let file = ModelFile::from_bytes(&float.to_bytes()?, "the float model".to_owned())?;
    let AnyModel::F32(model) = file.parse()? else {
        bail!("fine-tuning needs a float model as its teacher: give one in the format f32")
    };
    let states = collect(&model, train, &TRAINING_STATES);
    let device = Device::Cpu;
    let teacher = FloatNetwork::new(float, &device)?;
    let student = Student::<F>::new(network, &device)?;
    let table = StepTensors::new(&model, &float.head, &device)?;
    let first_rate = settings.learning_rate.unwrap_or(F::RATE);
    let parameters = ParamsAdamW {
        lr: first_rate,
        weight_decay: 0.0,
        ..ParamsAdamW::default()
    };
    let mut optimizer = AdamW::new(student.parameters(), parameters)?;
    let mut rng = TrainRng::new(settings.seed);
    let mut least = error_of(network)?;
    let diverged = || format!("fine-tuning diverged: lower --learning-rate (it is {first_rate})");
    for step in 0..settings.steps {
        let batch = StateBatch::draw(&states, settings.batch, &mut rng, &device)?;
        let target = teacher.forward(&batch)?.detach();
        // A rate that is too high ends in integers that no longer fit.
        let output = (student.forward(&batch).with_context(diverged)? * STATE_UNIT)?;
        let loss = table.loss(&batch, &output, &target)?;
        let gradients = loss.backward()?;
        let phase = step as f64 / settings.steps as f64;
        let rate = first_rate * (0.01 + 0.99 * 0.5 * (1.0 + (std::f64::consts::PI * phase).cos()));
        optimizer.set_learning_rate(rate);
        optimizer.step(&gradients)?;
        let loss: f64 = loss.to_scalar()?;
        ensure!(loss.is_finite(), diverged());
        progress(step + 1, loss);
        if (step + 1) % (settings.steps / MEASUREMENTS).max(1) == 0 || step + 1 == settings.steps {
            let candidate = student.network()?;
            let error = error_of(&candidate).with_context(diverged)?;
            if error < least {
                (least, *network) = (error, candidate);
            }
        }
    }
    Ok(())
}
