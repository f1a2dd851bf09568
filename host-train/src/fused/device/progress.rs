//! Progress of a training, kept on the device.

/// Progress of a training as it lies on the device (`cuda/update.cu`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TrainingProgress {
    /// Updates made.
    pub step: u64,
    /// First step that was not finite, from 1; 0 for none. From there on nothing changes.
    pub bad: u64,
    /// Number of steps in `sums`.
    pub count: u64,
    /// Step of the plan's first row.
    pub planned: u64,
    /// Sums of the terms of the loss, in bits/dim.
    pub sums: [f64; 3],
    /// Norm of the gradient, before clipping.
    pub norm: f64,
    /// Factor of the gradients.
    pub scale: f64,
}

impl TrainingProgress {
    /// Position of `count` among [`Self::words`].
    pub const COUNT: usize = 2;
    /// Position of `planned` among [`Self::words`].
    pub const PLANNED: usize = 3;
    /// Position of the first of `sums` among [`Self::words`].
    pub const SUMS: usize = 4;

    /// Returns the nine fields as words of 64 bits.
    pub fn words(&self) -> [u64; 9] {
        let [a, b, c] = self.sums.map(f64::to_bits);
        let [norm, scale] = [self.norm, self.scale].map(f64::to_bits);
        [self.step, self.bad, self.count, self.planned, a, b, c, norm, scale]
    }

    /// Returns the progress with these fields.
    pub fn from_words(words: [u64; 9]) -> Self {
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
