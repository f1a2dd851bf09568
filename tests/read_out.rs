//! A whole sample of a model that predicts log-odds and decodes, against a second, naive implementation of the numbers'
//! definition (docs/numerics.md).
#![cfg(feature = "alloc")]

mod common;

use ancestral::decoder::Decoding;
use ancestral::mlp::forward;
use ancestral::model::AlignedBytes;
use ancestral::read_out::{CELLS, ReadOuts, TABLE_ALIGNMENT};
use ancestral::storage::{Buffers, Heap, Storage};
use ancestral::{Model, Q3_12, Sampler, W8A16, noise};
use common::{integer_spec, odds_decoding};
use rand_xoshiro::{Xoshiro128PlusPlus, rand_core::Rng, rand_core::SeedableRng};

const LAST: i128 = 16;

fn round(value: i128, shift: u32) -> i128 {
    (value + ((1 << shift) >> 1)).div_euclid(1 << shift)
}

fn sat16(value: i128) -> i128 {
    value.clamp(-32768, 32767)
}

/// G_t of one argument.
fn naive_read_out(read_outs: &ReadOuts<'_>, t: usize, u: i128) -> i128 {
    let ReadOuts::Levels { index, words } = read_outs else {
        panic!("the model has read-outs for levels")
    };
    let table = &words[usize::from(index[t]) * TABLE_ALIGNMENT..];
    let magnitude = u.abs().min(32767);
    let (cell, inside) = ((magnitude / 1024) as usize, magnitude % 1024);
    let (first, bits) = (usize::from(table[cell] >> 4), u32::from(table[cell] & 15));
    let width = 1024 >> bits;
    let place = CELLS + first + (inside / width) as usize;
    let (low, high) = (i128::from(table[place] as i16), i128::from(table[place + 1] as i16));
    let scaled = low * width + (high - low) * (inside % width);
    let value = round(scaled, 12 - bits);
    if u < 0 { -value } else { value }
}

/// `e^−depth` with 20 fraction bits.
fn naive_weight(depth: i128) -> i128 {
    let octaves = ((depth >> 12) * 1_549_082_005) >> 34;
    let whole = (octaves + 32_768) >> 16;
    let rest = octaves - (whole << 16);
    let mut value = 2_581_828;
    for coefficient in [-14_899_277, 64_485_375, -186_065_279, 268_435_456] {
        value = coefficient + ((value * rest) >> 16);
    }
    round(value, 8 + whole as u32)
}

/// Levels with their weights, in the order of the specification.
fn naive_weights(gain: i128, curvature: i128, u: i128) -> Vec<(i128, i128)> {
    let slope = (u * gain) >> 12;
    let log_odds = |k: i128| slope - curvature * (2 * k + 1 - LAST);
    let mode = (0..LAST).filter(|&k| log_odds(k) > 0).count() as i128;
    let mut found = vec![(mode, 1 << 20)];
    let mut depth = 0;
    for k in mode..LAST {
        depth -= log_odds(k).min(0);
        if depth >= 14 << 32 {
            break;
        }
        found.push((k + 1, naive_weight(depth)));
    }
    depth = 0;
    for k in (0..mode).rev() {
        depth += log_odds(k).max(0);
        if depth >= 14 << 32 {
            break;
        }
        found.push((k, naive_weight(depth)));
    }
    found
}

fn naive_draw(weights: &[(i128, i128)], word: u32) -> i128 {
    let total: i128 = weights.iter().map(|(_, weight)| weight).sum();
    let mut rest = (i128::from(word) * total) >> 32;
    let drawn = weights.iter().find(|(_, weight)| {
        rest -= weight;
        rest < 0
    });
    drawn.unwrap().0
}

/// Draws a sample by the definition; only the network's layers are the core's, which tests/network.rs checks.
fn naive_sample(model: &Model<'_, W8A16>, rng: &mut Xoshiro128PlusPlus, decoding: Decoding) -> (Vec<i128>, Vec<u8>) {
    let (table, mut heap) = (model.step_table(), Heap::for_model(model));
    let normal = |rng: &mut Xoshiro128PlusPlus| i128::from((noise::normal_q28(rng.next_u32()) + (1 << 15)) >> 16);
    let mut network = |t: usize, z: &[i128]| -> Vec<i128> {
        let state: Vec<Q3_12> = z.iter().map(|&v| Q3_12(v as i16)).collect();
        let Buffers {
            mut scratch, estimate, ..
        } = heap.buffers(model.dim());
        forward(model, t, &state, &mut scratch, estimate);
        let [skip, out, ..] = table.constants[t].map(i128::from);
        let f = estimate.iter().map(|f| i128::from(f.0));
        z.iter()
            .zip(f)
            .map(|(z, f)| sat16(round(skip * z + out * f, 14)))
            .collect()
    };
    let mut z: Vec<i128> = (0..6).map(|_| normal(rng)).collect();
    for t in (1..=model.steps()).rev() {
        let [_, _, keep, pull, spread, ..] = table.constants[t].map(i128::from);
        let arguments = network(t, &z);
        for (z, u) in z.iter_mut().zip(arguments) {
            let x = naive_read_out(&table.read_outs, t, u);
            *z = sat16(round(keep * *z + pull * x + spread * normal(rng), 14));
        }
    }
    let draw = model.decoder().draw;
    let levels = network(0, &z).into_iter().map(|u| {
        let weights = naive_weights(i128::from(draw.gain), i128::from(draw.curvature), u);
        match decoding {
            Decoding::Draw => naive_draw(&weights, rng.next_u32()) as u8,
            Decoding::Mode => weights[0].0 as u8,
        }
    });
    let levels = levels.collect();
    (z, levels)
}

#[test]
fn a_whole_sample_is_exactly_as_specified() {
    let bytes = AlignedBytes::new(&integer_spec(&odds_decoding(5)).to_bytes().unwrap());
    let model = Model::<W8A16>::parse(&bytes).unwrap();
    let mut sampler = Sampler::with_storage(&model, Heap::for_model(&model)).unwrap();
    let mut seen = [false; LAST as usize + 1];
    for decoding in [Decoding::Draw, Decoding::Mode] {
        sampler.set_decoding(decoding);
        for seed in 0..40 {
            let (z, levels) = naive_sample(&model, &mut Xoshiro128PlusPlus::seed_from_u64(seed), decoding);
            let mut rng = Xoshiro128PlusPlus::seed_from_u64(seed);
            assert_eq!(sampler.sample(&mut rng), levels, "{decoding:?} {seed}");
            assert_eq!(sampler.state().iter().map(|q| i128::from(q.0)).collect::<Vec<_>>(), z);
            levels.iter().for_each(|&level| seen[usize::from(level)] = true);
        }
    }
    assert!(
        seen.iter().filter(|seen| **seen).count() > 8,
        "the levels hardly vary: {seen:?}"
    );
}

#[test]
fn the_calls_of_a_sample_are_counted() {
    let bytes = AlignedBytes::new(&integer_spec(&odds_decoding(5)).to_bytes().unwrap());
    let model = Model::<W8A16>::parse(&bytes).unwrap();
    let mut sampler = Sampler::with_storage(&model, Heap::for_model(&model)).unwrap();
    assert_eq!((sampler.calls(), model.calls()), (6, 6));
    let mut rng = Xoshiro128PlusPlus::seed_from_u64(1);
    assert_eq!(sampler.steps(&mut rng).collect::<Vec<_>>(), [5, 4, 3, 2, 1, 0]);
    // The sample stays, and its estimate is its levels in model units.
    let levels = sampler.levels().to_vec();
    assert_eq!(sampler.levels(), levels);
    let decoder = model.decoder();
    let values: Vec<Q3_12> = levels.iter().map(|&level| decoder.level_value(level)).collect();
    assert_eq!(sampler.estimate(), values);
    assert_eq!(sampler.step(&mut rng), None);
}
