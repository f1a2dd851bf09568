//! Tables of steps made at run time.
#![cfg(feature = "alloc")]

mod common;

use ancestral::model::{AlignedBytes, ModelSpec};
use ancestral::number::Number;
use ancestral::steps::{OwnedStepTable, StepTableError};
use ancestral::storage::Heap;
use ancestral::{F32, Format, Model, Q3_12, Sampler, W8A16};
use common::{float_spec, integer_spec, odds_decoding};
use rand_xoshiro::{Xoshiro128PlusPlus, rand_core::SeedableRng};

/// The model with every second of its steps, as an exporter would write it. The network decoder's call stays first.
fn halved<F: Format>(spec: &ModelSpec<F>) -> ModelSpec<F> {
    let mut half = spec.clone();
    half.head.gamma = spec.head.gamma.iter().copied().step_by(2).collect();
    half.head.gains = spec.head.gains.iter().copied().step_by(2).collect();
    let first = usize::from(!spec.head.decoder.is_network());
    half.head.exponents = spec.head.exponents.iter().copied().skip(first).step_by(2).collect();
    for layer in &mut half.layers {
        let rows = layer.rows;
        let kept = layer.biases.chunks(rows).skip(first).step_by(2);
        layer.biases = kept.flatten().copied().collect();
    }
    half
}

fn draw<F: Format>(sampler: &mut Sampler<'_, F, Heap<F>>, seed: u64) -> Vec<F::Number> {
    sampler.draw(&mut Xoshiro128PlusPlus::seed_from_u64(seed)).to_vec()
}

/// * `tolerance`: of z_0 and the sample. The read-out's tables of a model are made for its own steps, so they differ a
///   little.
fn a_table_of_the_device_is_that_of_the_file<F: Format>(spec: &ModelSpec<F>, tolerance: f32) {
    let bytes = AlignedBytes::new(&spec.to_bytes().unwrap());
    let model = Model::<F>::parse(&bytes).unwrap();
    let half = AlignedBytes::new(&halved(spec).to_bytes().unwrap());
    let half = Model::<F>::parse(&half).unwrap();
    let steps = OwnedStepTable::<F::Number, 9>::new(&model, 4, 1.0).unwrap();
    let table = steps.view();
    assert_eq!(table.times, [0, 2, 4, 6, 8]);
    let own = half.step_table();
    assert_eq!(table.gamma, own.gamma);
    assert_eq!(format!("{:?}", table.constants), format!("{:?}", own.constants));
    assert_eq!(table.weight, own.weight);
    let mut derived = Sampler::with_table(&model, Heap::for_model(&model), table).unwrap();
    let mut written = Sampler::with_storage(&half, Heap::for_model(&half)).unwrap();
    for seed in 0..5 {
        let (mut found, mut expected) = (draw(&mut derived, seed), draw(&mut written, seed));
        // The decoder's sample, or the last estimate.
        found.extend(derived.estimate());
        expected.extend(written.estimate());
        for (found, expected) in found.iter().zip(expected) {
            let off = (found.to_f32() - expected.to_f32()).abs();
            assert!(off <= tolerance, "{found:?} {expected:?}");
        }
    }
    // All of them, with all of the noise: the model's own sampler.
    let all = OwnedStepTable::<F::Number, 9>::new(&model, 8, 1.0).unwrap();
    let mut derived = Sampler::with_table(&model, Heap::for_model(&model), all.view()).unwrap();
    let mut plain = Sampler::with_storage(&model, Heap::for_model(&model)).unwrap();
    assert_eq!(draw(&mut derived, 3), draw(&mut plain, 3));
}

#[test]
fn fewer_steps_are_those_that_an_exporter_would_write() {
    a_table_of_the_device_is_that_of_the_file(&float_spec(8), 0.0);
    a_table_of_the_device_is_that_of_the_file(&integer_spec(&float_spec(8)), 0.0);
    a_table_of_the_device_is_that_of_the_file(&odds_decoding(8), 2e-3);
    a_table_of_the_device_is_that_of_the_file(&integer_spec(&odds_decoding(8)), 2e-3);
}

#[test]
fn fewer_steps_keep_the_gains() {
    let mut spec = odds_decoding(8);
    spec.head.gains = (0..=8).map(|t| 0.6 + 0.04 * f64::from(t)).collect();
    a_table_of_the_device_is_that_of_the_file(&spec, 2e-3);
    a_table_of_the_device_is_that_of_the_file(&integer_spec(&spec), 2e-3);
}

#[test]
fn without_noise_the_chain_depends_on_its_start_alone() {
    let bytes = AlignedBytes::new(&integer_spec(&float_spec(8)).to_bytes().unwrap());
    let model = Model::<W8A16>::parse(&bytes).unwrap();
    let steps = OwnedStepTable::<Q3_12, 9>::new(&model, 5, 0.0).unwrap();
    assert_eq!(steps.schedule().unwrap().steps(), 5);
    let mut sampler = Sampler::with_table(&model, Heap::for_model(&model), steps.view()).unwrap();
    let mut end = |after_start: u64| {
        sampler.start(&mut Xoshiro128PlusPlus::seed_from_u64(1));
        let mut rng = Xoshiro128PlusPlus::seed_from_u64(after_start);
        while sampler.step(&mut rng).is_some() {}
        sampler.state().to_vec()
    };
    assert_eq!(end(2), end(3));
    let noisy = OwnedStepTable::<Q3_12, 9>::new(&model, 5, 0.5).unwrap();
    let mut sampler = Sampler::with_table(&model, Heap::for_model(&model), noisy.view()).unwrap();
    assert_ne!(draw(&mut sampler, 2), draw(&mut sampler, 3));
}

#[test]
fn tables_that_cannot_be_are_refused() {
    let bytes = AlignedBytes::new(&float_spec(8).to_bytes().unwrap());
    let model = Model::<F32>::parse(&bytes).unwrap();
    let make = |steps, eta| OwnedStepTable::<f32, 5>::new(&model, steps, eta).err();
    assert_eq!(make(0, 1.0), Some(StepTableError::Count { steps: 0, most: 8 }));
    assert_eq!(make(9, 1.0), Some(StepTableError::Count { steps: 9, most: 8 }));
    assert_eq!(make(5, 1.0), Some(StepTableError::Capacity { steps: 5, most: 4 }));
    assert_eq!(make(4, 1.5), Some(StepTableError::Eta));
    assert_eq!(make(4, f64::NAN), Some(StepTableError::Eta));
    assert_eq!(make(4, 0.3), None);
    let text = StepTableError::Capacity { steps: 5, most: 4 }.to_string();
    assert!(text.contains("5 steps") && text.contains("memory for 4"), "{text}");
}
