//! The end of a step: the gradient's norm, the check for finite numbers, AdamW, clipping and the moving average of all
//! parameters, and the sums for the log. Nothing waits for the host.
#![allow(unsafe_code)] // Kernels run on plain addresses, for which this file answers.

use super::launch::{blocks, check, launch};
use super::params::{AdamW, Judge, MAX_PARTS, SLOTS, Slots, SquaredNorm, Tick};
use super::progress::TrainingProgress;
use super::queue::Queue;
use super::span::Span;
use crate::fused::adamw::Adam;
#[cfg(doc)]
use crate::fused::adamw::StepFactors;
use candle_core::Result;

/// A parameter of the network.
pub struct ParameterSpans<'a> {
    /// Gradient; a parameter without one does not change.
    pub gradient: Option<Span<'a, f32>>,
    /// Value, which the update writes.
    pub value: Span<'a, f32>,
    /// Factor of the learning rate.
    pub rate_scale: f64,
    /// Weight decay.
    pub decay: f64,
}

/// One update of all parameters.
pub struct ParameterUpdate<'a> {
    /// The parameters, in the order of `state`.
    pub parameters: Vec<ParameterSpans<'a>>,
    /// Values, first moments, second moments and averages of one parameter after another.
    pub state: Span<'a, f32>,
    /// The words of the [`TrainingProgress`].
    pub progress: Span<'a, u64>,
    /// [`StepFactors::words`] of the steps from [`TrainingProgress::planned`] on.
    pub plan: Span<'a, u64>,
    /// The terms of the loss, one number each, in nats per row.
    pub terms: [Option<Span<'a, f32>>; 3],
    /// Factor from those to bits/dim.
    pub unit: f64,
    /// Largest norm of the gradient.
    pub clip: f64,
    /// AdamW's constants.
    pub adam: Adam,
}

impl ParameterUpdate<'_> {
    /// Launches the update. The plan must have a row for this step.
    pub fn run<Q: Queue>(&self, queue: &Q) -> Result<()> {
        self.check()?;
        let launches = self.launches();
        let term = self.terms.map(|term| term.map_or(0, |term| term.address()));
        let (parts, count) = sum_squares(queue, &launches)?;
        let judge = Judge {
            progress: self.progress.address(),
            parts: queue.address(&parts),
            term,
            clip: self.clip,
            count: count as u64,
        };
        // SAFETY: the progress has its size, there are `count` parts, and a term is one number.
        unsafe { launch(queue, [1, 1], &judge)? };
        for Launch { slots, from, count } in launches {
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

    fn check(&self) -> Result<()> {
        let total: usize = self.parameters.iter().map(|p| p.value.len()).sum();
        let fits = |p: &ParameterSpans<'_>| p.gradient.is_none_or(|g| g.len() == p.value.len());
        let words = TrainingProgress::default().words().len();
        check(
            self.parameters.iter().all(fits)
                && self.state.len() == 4 * total
                && self.progress.len() == words
                && !self.plan.is_empty(),
            "state of the parameters",
        )
    }

    /// Groups the parameters into as few launches as possible.
    fn launches(&self) -> Vec<Launch> {
        let mut from = 0;
        let group = |group: &[ParameterSpans<'_>]| {
            let mut slots = Slots {
                gradient: [0; SLOTS],
                value: [0; SLOTS],
                end: [0; SLOTS],
                rate_scale: [0.0; SLOTS],
                decay: [0.0; SLOTS],
            };
            let mut count = 0;
            for (i, parameter) in group.iter().enumerate() {
                count += parameter.value.len();
                slots.gradient[i] = parameter.gradient.map_or(0, |g| g.address());
                slots.value[i] = parameter.value.address();
                slots.end[i] = count as u64;
                slots.rate_scale[i] = parameter.rate_scale;
                slots.decay[i] = parameter.decay;
            }
            let launch = Launch { slots, from, count };
            from += count;
            launch
        };
        self.parameters.chunks(SLOTS).map(group).collect()
    }
}

/// Parameters that one launch takes.
struct Launch {
    slots: Slots,
    /// Numbers in the parameters of the launches before.
    from: usize,
    /// Numbers in these parameters.
    count: usize,
}

/// Launches the partial sums of the squared norm of all gradients; returns them and their number.
fn sum_squares<Q: Queue>(queue: &Q, launches: &[Launch]) -> Result<(Q::Memory, usize)> {
    let parts_of = |launch: &Launch| -> Result<u32> { Ok(blocks(launch.count)?[0].min(MAX_PARTS as u32)) };
    let mut all = 0;
    for launch in launches {
        all += parts_of(launch)? as usize;
    }
    let parts = queue.reserve(all.max(1) * 8)?;
    let mut next = queue.address(&parts);
    for own in launches {
        let params = SquaredNorm {
            slots: own.slots,
            parts: next,
            count: own.count as u64,
        };
        let launched = parts_of(own)?;
        // SAFETY: every gradient was found as long as its parameter, and each block has a part.
        unsafe { launch(queue, [launched, 1], &params)? };
        next += u64::from(launched) * 8;
    }
    Ok((parts, all))
}
