//! The purposes of random numbers.

/// Purpose of a random number: a generator without a state has separate words for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The rows of the batch.
    Rows,
    /// The times of the rows.
    Times,
    /// The noise of z_t.
    Noise,
    /// The noise of z_0.
    FirstNoise,
    /// The dropout mask of a hidden layer.
    Mask(u32),
}

impl Purpose {
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Rows => 0,
            Self::Times => 1,
            Self::Noise => 2,
            Self::FirstNoise => 3,
            Self::Mask(layer) => 4 + layer,
        }
    }
}
