//! Several samples at once are what each is alone.

use ancestral::model::StaticModel;
use ancestral::{BatchSampler, F32, Format, Sampler, W4A8, W8A8, W8A16, include_model};
use rand_xoshiro::{Xoshiro128PlusPlus, rand_core::SeedableRng};

macro_rules! model {
    ($name:ident: $format:ident = $file:literal) => {
        include_model!($name: $format = concat!(env!("CARGO_MANIFEST_DIR"), "/models/", $file));
    };
}

// With a reverse variance per direction.
model!(SHAPED: W8A16 = "digits-t8-w8a16.vdm");
model!(WIDE: W8A16 = "digits-small-t64-w8a16.vdm");
model!(BYTES: W8A8 = "digits-small-t64-w8a8.vdm");
model!(NIBBLES: W4A8 = "digits-small-t64-w4a8.vdm");
model!(FLOAT: F32 = "digits-small-t64-f32.vdm");
model!(CONTINUOUS: W8A16 = "ecg-t8-w8a16.vdm");

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

#[test]
fn samples_of_a_batch_are_those_drawn_alone() {
    compare(&SHAPED);
    compare(&WIDE);
    compare(&BYTES);
    compare(&NIBBLES);
    compare(&FLOAT);
    compare(&CONTINUOUS);
}
