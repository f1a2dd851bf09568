//! The step table: the schedule as the runtime uses it.

use crate::number::Number;
use crate::read_out::ReadOuts;
use crate::reverse_variance::ReverseVariance;
use crate::schedule::StepConstants;

/// The tables of the schedule: entry `t` of each for `t` in `0..=T`.
#[derive(Clone, Copy, Debug)]
pub struct StepTable<'a, N: Number> {
    /// `γ_t`.
    pub gamma: &'a [f32],
    /// The constants of step t, see [`StepConstants`].
    pub constants: &'a [[N::Constant; 8]],
    /// Cost in nats of one unit of `‖x − x̂‖²` at step t; 0 at t = 0.
    pub weight: &'a [f32],
    /// The network's own step at each entry if the table is not the model's; else empty. See [`steps`](crate::steps).
    pub times: &'a [u16],
    /// The read-outs of the network's own steps.
    pub read_outs: ReadOuts<'a>,
    /// The reverse variance if it is not the posterior's own.
    pub reverse_variance: Option<ReverseVariance<'a, N>>,
}

impl<N: Number> StepTable<'_, N> {
    /// T, the number of steps.
    pub fn steps(&self) -> usize {
        self.gamma.len().saturating_sub(1)
    }

    /// Returns the network's own step at entry `t`.
    pub fn time(&self, t: usize) -> usize {
        self.times.get(t).map_or(t, |&time| usize::from(time))
    }

    /// Returns the constants of step `t`, or `None` beyond T.
    pub fn constants_at(&self, t: usize) -> Option<StepConstants<N::Constant>> {
        self.constants.get(t).map(|&a| StepConstants::from_array(a))
    }
}
