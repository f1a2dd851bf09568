//! Settings of an optimizer step: AdamW's constants and the learning rate at that step.

use super::config::TrainConfig;
use crate::fused::adamw::Adam;
use crate::optimizer::Update;

/// Returns AdamW's constants.
pub fn adam(config: &TrainConfig) -> Adam {
    Adam {
        beta_1: config.beta_1,
        beta_2: config.beta_2,
        epsilon: config.epsilon,
    }
}

/// Returns the settings of the update after `step` others.
pub fn update(config: &TrainConfig, step: u64) -> Update {
    Update {
        rate: rate(config, step),
        decay: config.weight_decay,
        clip_norm: config.clip_norm,
        ema: config.ema,
        adam: adam(config),
    }
}

/// Returns the learning rate: a linear warm-up, then a cosine to the final fraction.
fn rate(config: &TrainConfig, step: u64) -> f64 {
    if step < config.warmup {
        return config.learning_rate * (step + 1) as f64 / config.warmup as f64;
    }
    let span = config.steps.saturating_sub(config.warmup).max(1);
    let progress = ((step - config.warmup) as f64 / span as f64).min(1.0);
    let cosine = 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
    config.learning_rate * (config.final_fraction + (1.0 - config.final_fraction) * cosine)
}
