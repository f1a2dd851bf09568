//! Everything random in one evaluation of the loss.

use crate::fused::index::Index;
use crate::rng::{Purpose, RandomSource, Share};
use crate::train::config::DecoderKind;
use candle_core::{Device, Result, Tensor};

/// Least fraction of the times that falls on the network decoder.
const START_FRACTION: f64 = 1.0 / 8.0;

/// Everything random in one evaluation of the loss, except the rows themselves.
pub struct Draws<T> {
    /// Rows of the batch that these numbers belong to.
    pub share: Share,
    /// One time per row: a step in `0..=T`, or a number in [0, 1) in continuous time.
    pub times: T,
    /// Fraction q of the rows that the network decodes, on average: those at t = 0, or with a time below q. It is 0 for
    /// the factorized decoder.
    pub start_fraction: f64,
    /// `(n, D)`, the noise of z at that time.
    pub noise: Tensor,
    /// `(n, D)`, the noise of z_0 for the factorized decoder.
    pub first_noise: Option<Tensor>,
    /// One mask per hidden layer, `(n, rows)`: 0 for dropped units, 1/(1 − p) for the others. Empty without dropout.
    pub masks: Vec<Tensor>,
}

/// Draws for the chain of T steps.
pub type ChainDraws = Draws<Index>;

/// Draws for continuous time.
pub type TimeDraws = Draws<Vec<f64>>;

/// Dropout of hidden units (Srivastava et al. 2014).
#[derive(Clone, Copy, Debug)]
pub struct Dropout<'a> {
    /// Probability that a unit is dropped.
    pub probability: f64,
    /// Widths of the hidden layers.
    pub hidden: &'a [usize],
}

impl Dropout<'_> {
    /// No dropout.
    pub const NONE: Self = Dropout {
        probability: 0.0,
        hidden: &[],
    };

    /// Draws a mask for each hidden layer. Without dropout, this takes nothing from the source.
    fn draw_masks(&self, share: Share, source: &mut dyn RandomSource, device: &Device) -> Result<Vec<Tensor>> {
        if self.probability <= 0.0 {
            return Ok(Vec::new());
        }
        let mut draw_mask = |(layer, &width): (usize, &usize)| {
            let uniforms = source.draw_uniforms(Purpose::Mask(layer as u32), share, width);
            let values = mask_uniforms(uniforms.into_iter(), self.probability);
            Tensor::from_vec(values, (share.rows, width), device)
        };
        self.hidden.iter().enumerate().map(&mut draw_mask).collect()
    }
}

impl TimeDraws {
    /// Returns each row's time in [0, 1) of the diffusion term, 0 for the rows that the network decodes, and 0 for
    /// those rows or 1 for the others.
    pub fn split_times(&self) -> (Vec<f64>, Vec<u32>) {
        let start = self.start_fraction;
        let split = |&time: &f64| match time < start {
            true => (0.0, 0),
            false => ((time - start) / (1.0 - start), 1),
        };
        self.times.iter().map(split).unzip()
    }

    /// Draws times, noise and masks. The times are stratified, so that every batch covers [0, 1) evenly.
    pub fn new(
        rows: impl Into<Share>,
        dim: usize,
        decoder: DecoderKind,
        dropout: Dropout<'_>,
        source: &mut dyn RandomSource,
        device: &Device,
    ) -> Result<Self> {
        let share = rows.into();
        // A sequential generator needs this order: it is part of what makes a run repeatable.
        Ok(Self {
            share,
            times: source.draw_times(share),
            noise: source.normal_matrix(Purpose::Noise, share, dim, device)?,
            start_fraction: match decoder {
                DecoderKind::Network => START_FRACTION,
                DecoderKind::Factorized => 0.0,
            },
            first_noise: match decoder {
                DecoderKind::Network => None,
                DecoderKind::Factorized => Some(source.normal_matrix(Purpose::FirstNoise, share, dim, device)?),
            },
            masks: dropout.draw_masks(share, source, device)?,
        })
    }

    /// Replaces each time by its step of a chain of `steps` steps.
    pub fn in_steps(self, steps: usize) -> ChainDraws {
        let start_fraction = match self.start_fraction {
            0.0 => 0.0,
            _ => chain_start_fraction(steps),
        };
        Draws {
            share: self.share,
            times: times_to_steps(self.times.into_iter(), steps, start_fraction).into(),
            start_fraction,
            noise: self.noise,
            first_noise: self.first_noise,
            masks: self.masks,
        }
    }
}

/// Returns the fraction of the rows that the network decodes in a chain of `steps` steps: that of one of its T + 1
/// calls, or an eighth if that is more.
pub fn chain_start_fraction(steps: usize) -> f64 {
    START_FRACTION.max(1.0 / (steps + 1) as f64)
}

/// Returns the steps of times in [0, 1): 0 for those below `start_fraction`, and `1..=steps` evenly for the others.
pub fn times_to_steps(times: impl Iterator<Item = f64>, steps: usize, start_fraction: f64) -> Vec<u32> {
    let rest = 1.0 - start_fraction;
    let step = |time: f64| match time < start_fraction {
        true => 0,
        false => 1 + (((time - start_fraction) / rest * steps as f64) as u32).min(steps as u32 - 1),
    };
    times.map(step).collect()
}

/// Returns a dropout mask for uniform numbers in [0, 1): 0 for those below `p`, 1/(1 − p) for the others.
pub fn mask_uniforms(uniforms: impl Iterator<Item = f32>, p: f64) -> Vec<f32> {
    let keep = (1.0 / (1.0 - p)) as f32;
    uniforms.map(|u| if f64::from(u) < p { 0.0 } else { keep }).collect()
}
