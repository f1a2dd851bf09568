//! The network decoder: both forms of the ELBO agree with it, and its samples have its distribution.
#![cfg(feature = "alloc")]

mod common;

use ancestral::decoder::Decoding;
use ancestral::likelihood::{ChainBuffers, elbo, elbo_of_chain};
use ancestral::mlp::Mlp;
use ancestral::model::{AlignedBytes, ModelSpec};
use ancestral::number::Number;
use ancestral::storage::{Buffers, Heap, Storage};
use ancestral::{Denoiser, F32, Format, Model, W8A16};
use common::{float_spec, integer_spec, odds_decoding, shaped, values};
use rand_xoshiro::{Xoshiro128PlusPlus, rand_core::SeedableRng};

/// Mean and standard error.
fn statistics(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

fn both_forms_agree<F: Format>(spec: &ModelSpec<F>) {
    let bytes = AlignedBytes::new(&spec.to_bytes().unwrap());
    let model = Model::<F>::parse(&bytes).unwrap();
    let (table, decoder) = (model.step_table(), model.decoder());
    let mut rng = Xoshiro128PlusPlus::seed_from_u64(4);
    // Levels, which are values too.
    let row: Vec<F::Number> = [0, 3, 8, 11, 16, 9]
        .map(|k| F::Number::from_ratio(2 * k - 16, 16))
        .to_vec();
    let mut heap = Heap::for_model(&model);
    let mut previous = row.clone();
    let (mut terms, mut chains) = (Vec::new(), Vec::new());
    for _ in 0..20_000 {
        let Buffers {
            state,
            estimate,
            scratch,
            ..
        } = heap.buffers(model.dim());
        let mut mlp = Mlp::new(&model, scratch);
        let one = elbo(&table, &decoder, &mut mlp, &row, state, estimate, &mut rng);
        terms.push(f64::from(one.total()));
        let buffers = ChainBuffers {
            state,
            previous: &mut previous,
            estimate,
        };
        chains.push(elbo_of_chain(&table, &decoder, &mut mlp, &row, buffers, &mut rng));
    }
    let (terms, chain) = (statistics(&terms), statistics(&chains));
    let error = (terms.1.powi(2) + chain.1.powi(2)).sqrt();
    assert!((terms.0 - chain.0).abs() < 4.0 * error, "{} {terms:?} {chain:?}", F::ID);
    assert!(error < 0.02 * terms.0.abs(), "too noisy to tell: {terms:?} {chain:?}");
}

#[test]
fn both_forms_agree_with_the_decoder_of_levels() {
    both_forms_agree(&odds_decoding(5));
    both_forms_agree(&integer_spec(&odds_decoding(5)));
    both_forms_agree(&shaped(&odds_decoding(5)));
}

#[test]
fn both_forms_agree_with_the_decoder_of_values() {
    let spec = values(&float_spec(5));
    both_forms_agree(&spec);
    both_forms_agree(&integer_spec(&spec));
}

/// Draws of the decoder have the log-likelihood's mean: their frequencies are the probabilities.
fn draws_have_the_likelihood<F: Format>(spec: &ModelSpec<F>, levels: u16) {
    let bytes = AlignedBytes::new(&spec.to_bytes().unwrap());
    let model = Model::<F>::parse(&bytes).unwrap();
    let decoder = model.decoder();
    let mut heap = Heap::for_model(&model);
    let z: Vec<F::Number> = (0..6).map(|d| F::Number::from_f32(0.2 * d as f32 - 0.5)).collect();
    let Buffers {
        estimate: argument,
        data: noise,
        levels: drawn,
        scratch,
        ..
    } = heap.buffers(6);
    Mlp::new(&model, scratch).decode(&z, argument);
    let argument = argument.to_vec();
    let mut rng = Xoshiro128PlusPlus::seed_from_u64(9);
    // The entropy of a level, exactly and from draws.
    let nats = |x: &[F::Number]| -f64::from(decoder.log_likelihood(x, &mut argument.clone()));
    let mut found = Vec::new();
    for _ in 0..20_000 {
        let mut sample = argument.clone();
        decoder.sample(Decoding::Draw, &mut sample, noise, drawn, &mut rng);
        found.push(nats(&sample));
    }
    let (mean, error) = statistics(&found);
    let expected = if levels == 0 {
        // Of a Gaussian: half a nat for each dimension beyond the constant.
        let scales: f64 = decoder.scale.iter().map(|s| f64::from(*s).ln()).sum();
        f64::from(decoder.nats) + scales + 3.0
    } else {
        let of_dimension = |d: usize| -> f64 {
            let one = |k: u8| -f64::from(decoder.log_likelihood(&[decoder.level_value(k)], &mut [argument[d]]));
            (0..=decoder.last_level()).map(|k| one(k) * (-one(k)).exp()).sum()
        };
        (0..6).map(of_dimension).sum()
    };
    assert!(
        (mean - expected).abs() < 4.0 * error + 1e-3,
        "{} {mean} {expected} {error}",
        F::ID
    );
    // The mode is the likeliest.
    let mut mode = argument.clone();
    decoder.sample(Decoding::Mode, &mut mode, noise, drawn, &mut rng);
    assert!(found.iter().all(|one| nats(&mode) <= one + 1e-3));
}

#[test]
fn samples_have_the_decoders_distribution() {
    draws_have_the_likelihood::<F32>(&odds_decoding(4), 17);
    draws_have_the_likelihood::<W8A16>(&integer_spec(&odds_decoding(4)), 17);
    draws_have_the_likelihood::<F32>(&values(&float_spec(4)), 0);
    draws_have_the_likelihood::<W8A16>(&integer_spec(&values(&float_spec(4))), 0);
}
