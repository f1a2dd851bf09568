//! Uniform numbers from random words.

use super::share::Share;

/// Returns the top 24 bits of a word as a number in [0, 1).
pub(super) fn unit(word: u32) -> f32 {
    (word >> 8) as f32 / (1u32 << 24) as f32
}

/// Returns times in [0, 1) for the rows of a share, 1/n apart; the batch's first is `offset/n`.
pub(super) fn stratified(offset: f32, share: Share) -> impl Iterator<Item = f64> + Clone + use<> {
    let offset = f64::from(offset);
    (share.first..share.first + share.rows).map(move |i| (offset + i as f64) / share.of as f64)
}
