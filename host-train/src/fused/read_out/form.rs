//! The kind of read-out.

use ancestral::schedule::Prediction;

/// The read-out: how z and the network's output become an estimate of the data, and the distribution of a level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReadOut {
    /// Meaning of the network's output.
    pub prediction: Prediction,
    /// Estimates are clipped to [−1, 1].
    pub clip: bool,
}
