//! AdamW over all parameters.

use super::slot::{Slot, initial_state};
use super::update::Update;
use crate::fused::adamw::{Hyper, STATE_ROWS};
use crate::fused::norm;
use crate::model::parameter::Parameter;
use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor};

/// AdamW over all parameters.
pub struct Optimizer {
    /// One slot per parameter, in the order given.
    pub slots: Vec<Slot>,
    /// Number of updates made so far.
    pub step: u64,
    /// The slots' states, one after another.
    memory: Tensor,
}

impl Optimizer {
    /// An optimizer for parameters of one device before their first update, each with the factor of its learning rate.
    pub fn new(parameters: Vec<(Parameter, f64)>) -> Result<Self> {
        let states: Vec<Tensor> = parameters
            .iter()
            .map(|(parameter, _)| initial_state(parameter)?.flatten_all())
            .collect::<Result<_>>()?;
        let memory = Tensor::cat(&states, 0)?;
        let mut from = 0;
        let slot = |(parameter, rate_scale): (Parameter, f64)| {
            let n = parameter.var.elem_count();
            let state = memory.narrow(0, from, STATE_ROWS * n)?.reshape((STATE_ROWS, n))?;
            from += STATE_ROWS * n;
            Ok(Slot {
                parameter,
                state,
                rate_scale,
            })
        };
        Ok(Self {
            slots: parameters.into_iter().map(slot).collect::<Result<_>>()?,
            step: 0,
            memory,
        })
    }

    /// Returns the states of all slots, one after another.
    pub fn memory(&self) -> &Tensor {
        &self.memory
    }

    /// Updates every parameter that has a gradient. Returns the gradient's norm before clipping.
    ///
    /// # Errors
    /// Fails if the gradient is not finite, and then changes nothing.
    pub fn update(&mut self, gradients: &GradStore, update: Update) -> anyhow::Result<f64> {
        let mut square = 0.0;
        for slot in &self.slots {
            if let Some(g) = gradients.get(&slot.parameter.var) {
                square += square_norm(g)?;
            }
        }
        let norm = square.sqrt();
        anyhow::ensure!(
            norm.is_finite(),
            "the gradient is not finite at step {}: resume from the last checkpoint with a lower train.learning_rate",
            self.step + 1
        );
        self.step += 1;
        let factors = update.factors(self.step);
        for slot in &mut self.slots {
            if let Some(g) = gradients.get(&slot.parameter.var) {
                let hyper = Hyper {
                    rate: factors.rate * slot.rate_scale,
                    decay: slot.decay(&update),
                    gradient_scale: (update.clip_norm / norm).min(1.0),
                    step: factors,
                    adam: update.adam,
                };
                slot.update(g, hyper)?;
            }
        }
        Ok(norm)
    }

    /// Gives every parameter its averaged value. The state keeps the value that training continues from.
    pub fn show_average(&self) -> Result<()> {
        self.slots.iter().try_for_each(|slot| slot.show(STATE_ROWS - 1))
    }

    /// Gives every parameter the value being trained.
    pub fn show_current(&self) -> Result<()> {
        self.slots.iter().try_for_each(|slot| slot.show(0))
    }
}

/// Returns `Σ gᵢ²`, on the CPU in one pass.
fn square_norm(gradient: &Tensor) -> Result<f64> {
    if gradient.device().is_cpu() {
        return norm::squared_norm(&gradient.contiguous()?);
    }
    Ok(f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fused::adamw::{Adam, composed};
    use candle_core::{Device, Var};

    const ADAM: Adam = Adam {
        beta_1: 0.9,
        beta_2: 0.99,
        epsilon: 1e-8,
    };

    #[test]
    fn fused_and_composed_updates_agree() {
        let values: Vec<f32> = (0..1000).map(|i| (i as f32 * 0.37).sin()).collect();
        let var = Var::from_vec(values, (20, 50), &Device::Cpu).unwrap();
        let parameter = Parameter {
            name: "w".into(),
            var,
            decays: true,
        };
        let mut optimizer = Optimizer::new(vec![(parameter, 1.0)]).unwrap();
        let slot = &mut optimizer.slots[0];
        let update = Update {
            rate: 0.01,
            decay: 0.1,
            clip_norm: 1.0,
            ema: 0.9,
            adam: ADAM,
        };
        let mut other = slot.state.copy().unwrap();
        for step in 1..=20 {
            let gradient: Vec<f32> = (0..1000).map(|i| ((i * step) as f32 * 0.11).cos()).collect();
            let gradient = Tensor::from_vec(gradient, 1000, &Device::Cpu).unwrap();
            let hyper = Hyper {
                rate: update.rate,
                decay: update.decay,
                gradient_scale: 0.5,
                step: update.factors(step as u64),
                adam: ADAM,
            };
            slot.update(&gradient, hyper).unwrap();
            other = composed(&other, &gradient, hyper).unwrap();
        }
        let difference = (&slot.state - &other)
            .unwrap()
            .abs()
            .unwrap()
            .max_all()
            .unwrap()
            .to_scalar::<f32>()
            .unwrap();
        assert!(difference < 1e-5, "{difference}");
        let shown = slot.parameter.var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(shown, slot.state.get(0).unwrap().to_vec1::<f32>().unwrap());
    }

    #[test]
    fn a_quadratic_is_minimized() {
        let var = Var::from_vec(vec![3.0f32, -2.0], 2, &Device::Cpu).unwrap();
        let parameter = Parameter {
            name: "w".into(),
            var: var.clone(),
            decays: false,
        };
        let mut optimizer = Optimizer::new(vec![(parameter, 1.0)]).unwrap();
        for _ in 0..500 {
            let gradients = var.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            let update = Update {
                rate: 0.05,
                decay: 0.0,
                clip_norm: 1.0,
                ema: 0.9,
                adam: ADAM,
            };
            optimizer.update(&gradients, update).unwrap();
        }
        assert!(var.to_vec1::<f32>().unwrap().iter().all(|v| v.abs() < 0.05));
    }
}
