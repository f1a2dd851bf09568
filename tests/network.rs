//! The network against a second, naive implementation of the numbers' definition.
#![cfg(feature = "alloc")]

mod common;

use ancestral::mlp::forward;
use ancestral::model::{AlignedBytes, ModelSpec};
use ancestral::number::Number;
use ancestral::storage::{Buffers, Heap, Storage};
use ancestral::{F32, Format, Model, Q3_12, Sampler, W8A16, noise};
use common::{float_spec, integer_spec, value};
use rand_xoshiro::{Xoshiro128PlusPlus, rand_core::Rng, rand_core::SeedableRng};

/// The integers as the specification has them, in 128 bits so that nothing can overflow unseen.
fn naive_integer(spec: &ModelSpec<W8A16>, t: usize, z: &[i16]) -> Vec<i16> {
    let mut h: Vec<i128> = z.iter().map(|&v| i128::from(v)).collect();
    for layer in &spec.layers {
        let mut next = Vec::new();
        for row in 0..layer.rows {
            let mut sum = i128::from(layer.biases[(t - 1) * layer.rows + row]);
            let weights = &layer.weights[row * layer.columns..(row + 1) * layer.columns];
            sum += weights.iter().zip(&h).map(|(&w, h)| i128::from(w) * h).sum::<i128>();
            assert!(sum.abs() < 1 << 31, "the test's own model overflows");
            let r = layer.requant[row];
            let scaled = (sum * i128::from(r.multiplier) + (1 << (r.shift - 1))).div_euclid(1 << r.shift);
            let mut y = scaled.clamp(-32768, 32767);
            if layer.relu {
                y = y.max(0);
            }
            if layer.residual {
                y = (y + h[row]).clamp(-32768, 32767);
            }
            next.push(y);
        }
        h = next;
    }
    h.iter().map(|&v| v as i16).collect()
}

fn naive_float(spec: &ModelSpec<F32>, t: usize, z: &[f32]) -> Vec<f64> {
    let mut h: Vec<f64> = z.iter().map(|&v| f64::from(v)).collect();
    for layer in &spec.layers {
        let mut next = Vec::new();
        for row in 0..layer.rows {
            let weights = &layer.weights[row * layer.columns..(row + 1) * layer.columns];
            let mut y = f64::from(layer.biases[(t - 1) * layer.rows + row]);
            y += weights.iter().zip(&h).map(|(&w, h)| f64::from(w) * h).sum::<f64>();
            if layer.relu {
                y = y.max(0.0);
            }
            next.push(if layer.residual { y + h[row] } else { y });
        }
        h = next;
    }
    h
}

fn run<F: Format>(bytes: &[u8], t: usize, z: &[F::Number]) -> Vec<F::Number> {
    let bytes = AlignedBytes::new(bytes);
    let model = Model::<F>::parse(&bytes).unwrap();
    let mut heap = Heap::for_model(&model);
    let Buffers {
        mut scratch, estimate, ..
    } = heap.buffers(model.dim());
    forward(&model, t, z, &mut scratch, estimate);
    estimate.to_vec()
}

#[test]
fn integers_are_exactly_as_specified() {
    let spec = integer_spec(4);
    let bytes = spec.to_bytes().unwrap();
    for case in 0..200 {
        // Up to the ends of the range, where saturation works.
        let gain = [1.0, 4.0, 8.0][case % 3];
        let z: Vec<i16> = (0..6).map(|d| (value(77 * case + d) * gain * 4095.9) as i16).collect();
        let t = 1 + case % 4;
        let wrapped: Vec<Q3_12> = z.iter().map(|&v| Q3_12(v)).collect();
        let got: Vec<i16> = run::<W8A16>(&bytes, t, &wrapped).iter().map(|q| q.0).collect();
        assert_eq!(got, naive_integer(&spec, t, &z), "case {case}");
    }
}

#[test]
fn floats_follow_the_specification() {
    let spec = float_spec(4);
    let bytes = spec.to_bytes().unwrap();
    for case in 0..50 {
        let z: Vec<f32> = (0..6).map(|d| 3.0 * value(77 * case + d)).collect();
        let t = 1 + case % 4;
        for (got, want) in run::<F32>(&bytes, t, &z).iter().zip(naive_float(&spec, t, &z)) {
            assert!((f64::from(*got) - want).abs() < 1e-5, "{got} {want}");
        }
    }
}

/// A whole chain, by hand from the definitions of a step: what the device computes, in 64-bit integers.
#[test]
fn a_whole_chain_is_exactly_as_specified() {
    let spec = integer_spec(4);
    let bytes = AlignedBytes::new(&spec.to_bytes().unwrap());
    let model = Model::<W8A16>::parse(&bytes).unwrap();
    let mut rng = Xoshiro128PlusPlus::seed_from_u64(99);
    let normal = |rng: &mut Xoshiro128PlusPlus| (noise::normal_q28(rng.next_u32()) + (1 << 15)) >> 16;
    let round = |v: i64| ((v + (1 << 13)) >> 14).clamp(-32768, 32767);
    let mut z: Vec<i64> = (0..6).map(|_| i64::from(normal(&mut rng))).collect();
    for t in (1..=4).rev() {
        let [skip, out, keep, pull, spread, ..] = model.step_table().constants[t].map(i64::from);
        let f = naive_integer(&spec, t, &z.iter().map(|&v| v as i16).collect::<Vec<_>>());
        for (z, f) in z.iter_mut().zip(f) {
            let x = round(skip * *z + out * i64::from(f)).clamp(-4096, 4096);
            *z = round(keep * *z + pull * x + spread * i64::from(normal(&mut rng)));
        }
    }
    let mut sampler = Sampler::with_storage(&model, Heap::for_model(&model)).unwrap();
    let got = sampler.draw(&mut Xoshiro128PlusPlus::seed_from_u64(99));
    assert_eq!(got.iter().map(|q| i64::from(q.0)).collect::<Vec<_>>(), z);
}

#[test]
fn a_chain_by_steps_is_the_whole_chain() {
    let bytes = AlignedBytes::new(&integer_spec(7).to_bytes().unwrap());
    let model = Model::<W8A16>::parse(&bytes).unwrap();
    let mut sampler = Sampler::with_storage(&model, Heap::for_model(&model)).unwrap();
    let whole = sampler.draw(&mut Xoshiro128PlusPlus::seed_from_u64(5)).to_vec();
    let mut rng = Xoshiro128PlusPlus::seed_from_u64(5);
    assert_eq!(sampler.steps(&mut rng).collect::<Vec<_>>(), [6, 5, 4, 3, 2, 1, 0]);
    assert_eq!(sampler.state(), whole);
    // A chain that has ended stays where it is and takes nothing from the generator.
    let before = rng.clone();
    assert_eq!(sampler.step(&mut rng), None);
    assert_eq!(rng, before);
    assert!(
        sampler.estimate().iter().all(|x| x.to_f32().abs() <= 1.0),
        "the estimate is clipped"
    );
}
