//! One parameter in the optimizer.

use super::update::Update;
use crate::fused::adamw::{FusedAdamW, Hyper, STATE_ROWS, composed};
use crate::model::parameter::Parameter;
use candle_core::{Result, Tensor};

/// One parameter and its state.
pub struct Slot {
    /// The parameter.
    pub parameter: Parameter,
    /// Value, first moment, second moment and average, `(4, n)`: a view of the optimizer's memory.
    pub state: Tensor,
    /// Factor of the learning rate.
    pub rate_scale: f64,
}

impl Slot {
    /// Restores a saved state.
    pub fn restore(&mut self, state: &Tensor) -> Result<()> {
        self.write(state)?;
        self.show(0)
    }

    /// Restarts from the present value of the parameter.
    pub fn restart(&mut self) -> Result<()> {
        self.write(&initial_state(&self.parameter)?)
    }

    fn write(&self, state: &Tensor) -> Result<()> {
        self.state.slice_set(&state.contiguous()?, 0, 0)
    }

    /// Returns the averaged value, in the shape of the parameter.
    pub fn average(&self) -> Result<Tensor> {
        self.state.get(STATE_ROWS - 1)?.reshape(self.parameter.var.shape())
    }

    /// Gives the parameter the value in a row of the state: 0, the value being trained, or 3, its average.
    pub(super) fn show(&self, row: usize) -> Result<()> {
        self.parameter
            .var
            .set(&self.state.get(row)?.reshape(self.parameter.var.shape())?)
    }

    /// Returns the weight decay for this parameter.
    pub fn decay(&self, update: &Update) -> f64 {
        if self.parameter.decays { update.decay } else { 0.0 }
    }

    /// Updates state and parameter.
    pub(super) fn update(&mut self, gradient: &Tensor, hyper: Hyper) -> Result<()> {
        let gradient = gradient.flatten_all()?.contiguous()?;
        if self.state.device().is_cpu() {
            self.state.inplace_op2(&gradient, &FusedAdamW(hyper))?;
        } else {
            self.write(&composed(&self.state, &gradient, hyper)?)?;
        }
        self.show(0)
    }
}

/// Returns the state of a parameter before its first update.
pub(super) fn initial_state(parameter: &Parameter) -> Result<Tensor> {
    let value = parameter.var.flatten_all()?;
    let zero = value.zeros_like()?;
    Tensor::stack(&[&value, &zero, &zero, &value], 0)
}
