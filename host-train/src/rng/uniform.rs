//! Uniform numbers from random words.

use super::share::Share;

/// The top 24 bits of a word as a number in [0, 1).
pub(super) fn unit(word: u32) -> f32 {
    (word >> 8) as f32 / (1u32 << 24) as f32
}

/// Times in [0, 1) for the rows of a share, the batch's first at `offset/n`, 1/n apart.
pub(super) fn stratified(offset: f32, share: Share) -> impl Iterator<Item = f64> + Clone + use<> {
    let offset = f64::from(offset);
    (share.first..share.first + share.rows).map(move |i| (offset + i as f64) / share.of as f64)
}
