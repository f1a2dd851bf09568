//! Several samples at once are what each is alone.

use ancestral::model::StaticModel;
use ancestral::{BatchSampler, Format, Sampler, W8A16, for_each_format, include_model};
use rand_xoshiro::{Xoshiro128PlusPlus, rand_core::SeedableRng};

// With a reverse variance per direction.
include_model!(SHAPED: W8A16 = "../models/digits-t8-w8a16.vdm");
include_model!(CONTINUOUS: W8A16 = "../models/ecg-t8-w8a16.vdm");

/// Five: a group of four and one alone.
const N: usize = 5;

fn compare<F: Format, const D: usize, const W: usize>(model: &'static StaticModel<F, D, W>) {
    let generators = || core::array::from_fn(|index| Xoshiro128PlusPlus::seed_from_u64(index as u64));
    let mut together: [Xoshiro128PlusPlus; N] = generators();
    let mut batch: BatchSampler<'_, F, D, W, N> = BatchSampler::new(model);
    // Twice: what one draw leaves behind must not be seen in the next.
    batch.sample(&mut together);
    let levels = *batch.sample(&mut together);
    let mut values = [[0.0; D]; N];
    batch.values(&mut values);
    let mut alone: [Xoshiro128PlusPlus; N] = generators();
    for (index, rng) in alone.iter_mut().enumerate() {
        let mut sampler = Sampler::new(model);
        sampler.sample(rng);
        assert_eq!(sampler.sample(rng), levels[index], "{} sample {index}", F::ID);
        assert_eq!(sampler.state(), batch.states()[index], "{} state {index}", F::ID);
        if model.model().header().levels == 0 {
            let mut one = [0.0; D];
            sampler.values(&mut one);
            assert_eq!(one, values[index]);
        }
    }
    assert!(levels.as_flattened().iter().any(|&level| level > 0) || model.model().header().levels == 0);
}

macro_rules! compare_formats {
    ($($(#[$doc:meta])* $format:ident = $code:literal, $name:literal, $kind:ident;)*) => {$({
        include_model!(MODEL: ancestral::$format = concat!("../models/digits-small-t64-", $name, ".vdm"));
        compare(&MODEL);
    })*};
}

#[test]
fn samples_of_a_batch_are_those_drawn_alone() {
    compare(&SHAPED);
    compare(&CONTINUOUS);
    for_each_format!(compare_formats);
}
