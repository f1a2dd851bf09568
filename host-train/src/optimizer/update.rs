//! Settings of an update.

use crate::fused::adamw::{Adam, StepFactors};

/// Settings of an update that do not depend on the parameter.
#[derive(Clone, Copy, Debug)]
pub struct Update {
    /// Learning rate.
    pub rate: f64,
    /// Weight decay of the parameters that decay.
    pub decay: f64,
    /// Largest norm of the gradient; larger gradients are scaled down to it.
    pub clip_norm: f64,
    /// Decay of the moving average.
    pub ema: f64,
    /// AdamW's constants.
    pub adam: Adam,
}

impl Update {
    /// Returns the numbers of update `step`, from 1, that do not depend on the parameter.
    pub fn factors(&self, step: u64) -> StepFactors {
        let power = step.min(1 << 20) as i32;
        StepFactors {
            rate: self.rate,
            first: 1.0 - self.adam.beta_1.powi(power),
            root: (1.0 / (1.0 - self.adam.beta_2.powi(power))).sqrt(),
            // A young average would remember the initial weights. So it starts short and lengthens.
            ema: self.ema.min((1.0 + step as f64) / (10.0 + step as f64)),
        }
    }
}
