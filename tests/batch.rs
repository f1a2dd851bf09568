//! Several samples at once are what each is alone.

#[cfg(feature = "alloc")]
mod common;

use ancestral::decoder::Decoding;
use ancestral::model::StaticModel;
use ancestral::{BatchSampler, Format, Sampler, W8A16, for_each_format, include_model};
use rand_xoshiro::{Xoshiro128PlusPlus, rand_core::SeedableRng};

// With a reverse variance per direction.
include_model!(SHAPED: W8A16 = "../models/digits-t8-w8a16.vdm");
include_model!(CONTINUOUS: W8A16 = "../models/ecg-t8-w8a16.vdm");

/// Five: a group of four and one alone.
const N: usize = 5;

fn compare<F: Format, const D: usize, const W: usize>(model: &'static StaticModel<F, D, W>, decoding: Decoding) {
    let generators = || core::array::from_fn(|index| Xoshiro128PlusPlus::seed_from_u64(index as u64));
    let mut together: [Xoshiro128PlusPlus; N] = generators();
    let mut batch: BatchSampler<'_, F, D, W, N> = BatchSampler::new(model);
    batch.set_decoding(decoding);
    let mut previews = [[0.0; D]; N];
    batch.start(&mut together);
    batch.step(&mut together);
    batch.values(&mut previews);
    while batch.step(&mut together).is_some() {}
    // Again: what one draw leaves behind must not be seen in the next.
    let levels = *batch.sample(&mut together);
    let mut values = [[0.0; D]; N];
    batch.values(&mut values);
    let mut alone: [Xoshiro128PlusPlus; N] = generators();
    let continuous = model.model().header().levels == 0;
    for (index, rng) in alone.iter_mut().enumerate() {
        let mut sampler = Sampler::new(model);
        sampler.set_decoding(decoding);
        let mut one = [0.0; D];
        sampler.start(rng);
        sampler.step(rng);
        sampler.values(&mut one);
        assert!(!continuous || one == previews[index]);
        while sampler.step(rng).is_some() {}
        assert_eq!(sampler.sample(rng), levels[index], "{} sample {index}", F::ID);
        assert_eq!(sampler.state(), batch.states()[index], "{} state {index}", F::ID);
        sampler.values(&mut one);
        assert!(!continuous || one == values[index]);
    }
    assert!(continuous || levels.as_flattened().iter().any(|&level| level > 0));
}

macro_rules! compare_formats {
    ($($(#[$doc:meta])* $format:ident = $code:literal, $name:literal, $kind:ident;)*) => {$({
        include_model!(MODEL: ancestral::$format = concat!("../models/digits-small-t64-", $name, ".vdm"));
        compare(&MODEL, Decoding::Draw);
    })*};
}

#[test]
fn samples_of_a_batch_are_those_drawn_alone() {
    compare(&SHAPED, Decoding::Draw);
    compare(&CONTINUOUS, Decoding::Draw);
    for_each_format!(compare_formats);
}

/// Models made on the spot, with the network as the decoder.
#[cfg(feature = "alloc")]
mod made {
    use super::common::{byte_spec, float_spec, integer_spec, odds_decoding, values};
    use super::*;
    use ancestral::model::{Aligned, ModelSpec};
    use ancestral::{F32, W4A8};

    /// The model as a part of the program, in memory that is longer than the file.
    fn leak<F: Format>(spec: &ModelSpec<F>) -> &'static StaticModel<F, 6, 11> {
        let mut file = Box::new(Aligned([0; 1 << 14]));
        let bytes = spec.to_bytes().unwrap();
        file.0[..bytes.len()].copy_from_slice(&bytes);
        Box::leak(Box::new(StaticModel::new(Box::leak(file))))
    }

    #[test]
    fn a_batch_decodes_as_each_alone() {
        let (levels, continuous) = (odds_decoding(5), values(&float_spec(5)));
        for decoding in [Decoding::Draw, Decoding::Mode] {
            for float in [&levels, &continuous] {
                compare(leak(float), decoding);
                compare(leak(&integer_spec(float)), decoding);
                compare::<W4A8, 6, 11>(leak(&byte_spec(float, 4)), decoding);
            }
        }
    }

    /// Before the end, values of the network decoder are those of the estimate: z_t is no sample.
    #[test]
    fn values_on_the_way_are_previews() {
        let float: ModelSpec<F32> = values(&float_spec(5));
        let (mean, scale) = (float.head.mean.clone(), float.head.scale.clone());
        let mut sampler = Sampler::new(leak(&float));
        let mut rng = Xoshiro128PlusPlus::seed_from_u64(3);
        sampler.start(&mut rng);
        let mut found = [0.0; 6];
        while sampler.step(&mut rng).is_some() {
            sampler.values(&mut found);
            for (d, &x) in sampler.estimate().iter().enumerate() {
                assert_eq!(found[d], mean[d] + scale[d] * x);
            }
        }
    }
}
