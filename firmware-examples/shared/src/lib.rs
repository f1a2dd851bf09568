//! The loop that draws digits and the lines that it prints: the same on every board.
//!
//! A board hands [`draw`] its model and a [`Console`]: [`Text`] where it prints lines, its own type where it logs
//! otherwise.
#![no_std]
#![forbid(unsafe_code)]

mod text;

pub use text::Text;

use ancestral::model::StaticModel;
use ancestral::{Format, Sampler};
use rand_xoshiro::Xoshiro128PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

/// Output of a firmware that draws digits.
pub trait Console {
    /// Says what is about to be drawn.
    fn hello(&mut self, count: u32, steps: usize, seed: u64);

    /// Shows a digit: its index and its gray levels.
    fn digit(&mut self, index: u32, levels: &[u8]);
}

/// Draws `count` digits with a generator of that seed. Every machine draws the same bytes.
pub fn draw<F: Format, const D: usize, const W: usize>(
    model: &'static StaticModel<F, D, W>,
    (count, seed): (u32, u64),
    console: &mut impl Console,
) {
    console.hello(count, model.model().steps(), seed);
    let mut rng = Xoshiro128PlusPlus::seed_from_u64(seed);
    let mut sampler = Sampler::new(model);
    for index in 0..count {
        console.digit(index, sampler.sample(&mut rng));
    }
}
