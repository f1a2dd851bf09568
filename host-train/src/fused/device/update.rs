//! The end of a step: whether everything is finite, the gradient's norm, AdamW, clipping and the moving average of all parameters at once,
//! and the sums that are logged. Nothing of it waits for the host.

use super::elbo::PARTS;
use super::params::{AdamW, Judge, SLOTS, Slots, SquaredNorm, Tick};
use super::{Queue, Span, blocks, check, launch};
use crate::fused::adamw::Adam;
use candle_core::Result;

/// How far training has come, as it lies on the device (`cuda/update.cu`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Progress {
    /// Updates made.
    pub step: u64,
    /// The first step that was not finite, from 1; 0 for none. From there on nothing changes.
    pub bad: u64,
    /// Steps in `sums`.
    pub count: u64,
    /// The step that the plan's first row is for.
    pub planned: u64,
    /// Of the terms of the loss, in bits/dim.
    pub sums: [f64; 3],
    /// The gradient's, before clipping.
    pub norm: f64,
    /// What gradients are multiplied with.
    pub scale: f64,
}

impl Progress {
    /// Place of `count` among [`Self::words`].
    pub const COUNT: usize = 2;
    /// Place of `planned`.
    pub const PLANNED: usize = 3;
    /// Place of the first of `sums`.
    pub const SUMS: usize = 4;

    /// Its nine numbers of 64 bits.
    pub fn words(&self) -> [u64; 9] {
        let [a, b, c] = self.sums.map(f64::to_bits);
        let [norm, scale] = [self.norm, self.scale].map(f64::to_bits);
        [self.step, self.bad, self.count, self.planned, a, b, c, norm, scale]
    }

    /// From its nine numbers of 64 bits.
    pub fn of(words: [u64; 9]) -> Self {
        let [step, bad, count, planned, a, b, c, norm, scale] = words;
        Self {
            step,
            bad,
            count,
            planned,
            sums: [a, b, c].map(f64::from_bits),
            norm: f64::from_bits(norm),
            scale: f64::from_bits(scale),
        }
    }
}

/// A parameter.
pub struct Slot<'a> {
    /// Its gradient; without one it stays as it is.
    pub gradient: Option<Span<'a, f32>>,
    /// Its value, which the update writes.
    pub value: Span<'a, f32>,
    /// Multiplies the learning rate.
    pub rate_scale: f64,
    /// Weight decay.
    pub decay: f64,
}

/// One update of all parameters.
pub struct Update<'a> {
    /// The parameters, as they lie in `state` one after another.
    pub slots: Vec<Slot<'a>>,
    /// Of each parameter: values, first moments, second moments, averages.
    pub state: Span<'a, f32>,
    /// [`Progress::words`].
    pub progress: Span<'a, u64>,
    /// [`Row::words`] of the steps from [`Progress::planned`] on.
    pub plan: Span<'a, u64>,
    /// The terms of the loss, one number each, in nats per row.
    pub terms: [Option<Span<'a, f32>>; 3],
    /// From those to bits/dim.
    pub unit: f64,
    /// Largest norm of the gradient.
    pub clip: f64,
    /// AdamW's constants.
    pub adam: Adam,
}

impl Update<'_> {
    /// Launches it. The plan must have a row for the step that is now made.
    pub fn run<Q: Queue>(&self, queue: &Q) -> Result<()> {
        let total: usize = self.slots.iter().map(|slot| slot.value.len()).sum();
        let fits = self.slots.iter().all(|slot| {
            let own = slot.value.len();
            slot.gradient.is_none_or(|g| g.len() == own)
        });
        let words = Progress::default().words().len();
        check(
            fits && self.state.len() == 4 * total && self.progress.len() == words && !self.plan.is_empty(),
            "state of the parameters",
        )?;
        let launches = self.launches();
        let parts_each = |count: usize| -> Result<u32> { Ok(blocks(count)?[0].min(PARTS as u32)) };
        let mut all = 0;
        for (_, _, count) in &launches {
            all += parts_each(*count)? as usize;
        }
        let parts = queue.reserve(all.max(1) * 8)?;
        let mut at = queue.address(&parts);
        for (slots, _, count) in &launches {
            let params = SquaredNorm {
                slots: *slots,
                parts: at,
                count: *count as u64,
            };
            let launched = parts_each(*count)?;
            // SAFETY: every gradient was found as long as its parameter, and each block has a part.
            unsafe { launch(queue, [launched, 1], &params)? };
            at += u64::from(launched) * 8;
        }
        let term = self.terms.map(|term| term.map_or(0, |term| term.address()));
        let judge = Judge {
            progress: self.progress.address(),
            parts: queue.address(&parts),
            term,
            clip: self.clip,
            count: all as u64,
        };
        // SAFETY: the progress has its size, and a term is one number.
        unsafe { launch(queue, [1, 1], &judge)? };
        for (slots, from, count) in launches {
            let params = AdamW {
                slots,
                progress: self.progress.address(),
                plan: self.plan.address(),
                state: self.state.address() + 4 * 4 * from as u64,
                beta_1: self.adam.beta_1,
                beta_2: self.adam.beta_2,
                epsilon: self.adam.epsilon,
                count: count as u64,
            };
            // SAFETY: the state has four numbers for each of the parameters', of which this launch's begin at `from`.
            unsafe { launch(queue, blocks(count)?, &params)? };
        }
        let tick = Tick {
            progress: self.progress.address(),
            term,
            unit: self.unit,
        };
        // SAFETY: as for `judge`.
        unsafe { launch(queue, [1, 1], &tick) }
    }

    /// As few groups of parameters as their number allows: what a kernel takes, where they begin, and how many numbers they have.
    fn launches(&self) -> Vec<(Slots, usize, usize)> {
        let mut from = 0;
        let group = |group: &[Slot<'_>]| {
            let mut slots = Slots {
                gradient: [0; SLOTS],
                value: [0; SLOTS],
                end: [0; SLOTS],
                rate_scale: [0.0; SLOTS],
                decay: [0.0; SLOTS],
            };
            let mut count = 0;
            for (i, slot) in group.iter().enumerate() {
                count += slot.value.len();
                slots.gradient[i] = slot.gradient.map_or(0, |g| g.address());
                slots.value[i] = slot.value.address();
                slots.end[i] = count as u64;
                slots.rate_scale[i] = slot.rate_scale;
                slots.decay[i] = slot.decay;
            }
            let start = from;
            from += count;
            (slots, start, count)
        };
        self.slots.chunks(SLOTS).map(group).collect()
    }
}
