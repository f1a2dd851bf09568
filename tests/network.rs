//! The network against a second, naive implementation of the numbers' definition.
#![cfg(feature = "alloc")]

mod common;

use ancestral::fixed::NarrowRequant;
use ancestral::mlp::forward;
use ancestral::model::{AlignedBytes, ModelSpec};
use ancestral::number::Number;
use ancestral::storage::{Buffers, Heap, Storage};
use ancestral::{F16, F32, Format, Model, Q3_12, Sampler, W4A8, W8A8, W8A16, noise};
use common::{byte_spec, float_spec, half_spec, integer_spec, value};
use rand_xoshiro::{Xoshiro128PlusPlus, rand_core::Rng, rand_core::SeedableRng};

/// `⌊(value + half) / 2^shift⌋` with `half` half of 2^shift: the rounding of the specification.
fn round(value: i128, shift: u32) -> i128 {
    (value + ((1 << shift) >> 1)).div_euclid(1 << shift)
}

fn sat16(value: i128) -> i128 {
    value.clamp(-32768, 32767)
}

fn exact_sum(weights: &[i128], h: &[i128]) -> i128 {
    let sum: i128 = weights.iter().zip(h).map(|(w, h)| w * h).sum();
    assert!(sum.abs() < 1 << 31, "the test's own model overflows");
    sum
}

/// `w8a16` as the specification has it, in 128 bits so that nothing can overflow unseen.
fn naive_w8a16(spec: &ModelSpec<W8A16>, t: usize, z: &[i16]) -> Vec<i16> {
    let mut h: Vec<i128> = z.iter().map(|&v| i128::from(v)).collect();
    let last = spec.layers.len() - 1;
    for (index, layer) in spec.layers.iter().enumerate() {
        // A factor of 1/127 has the shift 37, far from the ends of the range.
        let exponent = i64::from(spec.head.exponents[t - 1]) * (i64::from(index != last) - i64::from(index != 0));
        let weights: Vec<i128> = layer.weights.iter().map(|&w| i128::from(w)).collect();
        h = (0..layer.rows)
            .map(|row| {
                let r = layer.requant[row];
                let sum = exact_sum(&weights[row * layer.columns..(row + 1) * layer.columns], &h);
                let bias = i128::from(layer.biases[(t - 1) * layer.rows + row]);
                let shift = (i64::from(r.shift) - exponent) as u32;
                let mut y = sat16(round(sum * i128::from(r.multiplier), shift) + bias);
                if layer.relu {
                    y = y.max(0);
                }
                if layer.residual { sat16(y + h[row]) } else { y }
            })
            .collect();
    }
    h.iter().map(|&v| v as i16).collect()
}

/// The formats with 8-bit activations as the specification has them: activations are 0..=255, and nobody subtracts 128.
fn naive_a8<F>(spec: &ModelSpec<F>, t: usize, z: &[i16]) -> Vec<i16>
where
    F: Format<Weight = i8, Bias = i16, Requant = NarrowRequant>,
{
    let mut h: Vec<i128> = z.iter().map(|&v| i128::from(v)).collect();
    let last = spec.layers.len() - 1;
    for (index, layer) in spec.layers.iter().enumerate() {
        let stride = if layer.packed {
            layer.columns.div_ceil(2)
        } else {
            layer.columns
        };
        h = (0..layer.rows)
            .map(|row| {
                let bytes = &layer.weights[row * stride..(row + 1) * stride];
                let weights: Vec<i128> = (0..layer.columns)
                    .map(|c| {
                        if !layer.packed {
                            return i128::from(bytes[c]);
                        }
                        let nibble = (bytes[c / 2] as u8 >> (4 * (c % 2))) & 15;
                        i128::from(nibble) - if nibble > 7 { 16 } else { 0 }
                    })
                    .collect();
                let r = layer.requant[row];
                let bias = i128::from(layer.biases[(t - 1) * layer.rows + row]);
                let v = sat16(exact_sum(&weights, &h).div_euclid(1 << r.before) + bias);
                let exponent = i32::from(spec.head.exponents[t - 1]);
                let after = match index {
                    0 => i32::from(r.after) - exponent,
                    _ if index == last => i32::from(r.after) + exponent,
                    _ => i32::from(r.after),
                };
                let y = round(v * i128::from(r.multiplier), after as u32);
                match (index == last, layer.residual) {
                    (true, _) => sat16(y),
                    (false, true) => (y.clamp(0, 255) + h[row]).min(255),
                    (false, false) => y.clamp(0, 255),
                }
            })
            .collect();
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

/// Runs 200 states, up to the ends of the range, where saturation works, through both.
fn compare<F: Format<Number = Q3_12>>(spec: &ModelSpec<F>, naive: impl Fn(usize, &[i16]) -> Vec<i16>) {
    let bytes = spec.to_bytes().unwrap();
    let mut different = std::collections::BTreeSet::new();
    for case in 0..200 {
        let gain = [1.0, 4.0, 8.0][case % 3];
        let z: Vec<i16> = (0..6).map(|d| (value(77 * case + d) * gain * 4095.9) as i16).collect();
        let t = 1 + case % 4;
        let wrapped: Vec<Q3_12> = z.iter().map(|&v| Q3_12(v)).collect();
        let got: Vec<i16> = run::<F>(&bytes, t, &wrapped).iter().map(|q| q.0).collect();
        assert_eq!(got, naive(t, &z), "{} case {case}", F::ID);
        different.extend(got);
    }
    assert!(different.len() > 500, "the outputs hardly vary: {}", different.len());
}

#[test]
fn integers_are_exactly_as_specified() {
    let spec = integer_spec(&float_spec(4));
    compare(&spec, |t, z| naive_w8a16(&spec, t, z));
    let spec = byte_spec::<W8A8>(&float_spec(4), 8);
    compare(&spec, |t, z| naive_a8(&spec, t, z));
    let spec = byte_spec::<W4A8>(&float_spec(4), 4);
    compare(&spec, |t, z| naive_a8(&spec, t, z));
    // Layers of 8-bit weights may stand in a file of 4-bit ones: the same numbers.
    let spec = byte_spec::<W4A8>(&float_spec(4), 8);
    compare(&spec, |t, z| naive_a8(&spec, t, z));
}

/// A coarse network is still the network: 8-bit activations stay near the floats.
#[test]
fn bytes_approximate_the_floats() {
    let float = float_spec(4);
    let mut spec = byte_spec::<W8A8>(&float, 8);
    spec.head.exponents = Vec::new();
    let bytes = spec.to_bytes().unwrap();
    for case in 0..50 {
        let z: Vec<f32> = (0..6).map(|d| value(77 * case + d)).collect();
        let t = 1 + case % 4;
        let wrapped: Vec<Q3_12> = z.iter().map(|&v| Q3_12::from_f32(v)).collect();
        for (got, want) in run::<W8A8>(&bytes, t, &wrapped).iter().zip(naive_float(&float, t, &z)) {
            assert!((f64::from(got.to_f32()) - want).abs() < 0.1, "{} {want}", got.to_f32());
        }
    }
}

/// Half precision is single precision with rounded weights: the same bits.
#[test]
fn half_floats_are_floats_with_rounded_weights() {
    let half = half_spec(&float_spec(4));
    let mut single = float_spec(4);
    for (single, half) in single.layers.iter_mut().zip(&half.layers) {
        single.weights = half.weights.iter().map(|w| w.to_f32()).collect();
        single.biases = half.biases.iter().map(|b| b.to_f32()).collect();
    }
    let (half, single) = (half.to_bytes().unwrap(), single.to_bytes().unwrap());
    for case in 0..50 {
        let z: Vec<f32> = (0..6).map(|d| 3.0 * value(77 * case + d)).collect();
        let t = 1 + case % 4;
        assert_eq!(run::<F16>(&half, t, &z), run::<F32>(&single, t, &z));
    }
}

/// The dot product as the specification has it: sixteen sums, then halves added to halves.
fn naive_dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 16];
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        lanes[i % 16] += a * b;
    }
    for width in [8, 4, 2, 1] {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
    }
    lanes[0]
}

/// The order of the additions is part of the result.
#[test]
fn float_sums_have_the_specified_bits() {
    let values = |seed: usize, n: usize| (0..n).map(|i| value(seed + i)).collect::<Vec<f32>>();
    let mut differs = false;
    for n in 0..200 {
        let (a, b) = (values(1000 * n, n), values(77_777 + 1000 * n, n));
        let found = ancestral::kernel::float::dot_f32(&a, &b);
        assert_eq!(found.to_bits(), naive_dot(&a, &b).to_bits(), "{n}");
        differs |= found != a.iter().zip(&b).map(|(a, b)| a * b).sum::<f32>();
    }
    assert!(differs, "any order would have passed");
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
    let spec = integer_spec(&float_spec(4));
    let bytes = AlignedBytes::new(&spec.to_bytes().unwrap());
    let model = Model::<W8A16>::parse(&bytes).unwrap();
    let mut rng = Xoshiro128PlusPlus::seed_from_u64(99);
    let normal = |rng: &mut Xoshiro128PlusPlus| (noise::normal_q28(rng.next_u32()) + (1 << 15)) >> 16;
    let rounded = |v: i64| sat16(round(i128::from(v), 14)) as i64;
    let mut z: Vec<i64> = (0..6).map(|_| i64::from(normal(&mut rng))).collect();
    for t in (1..=4).rev() {
        let [skip, out, keep, pull, spread, ..] = model.step_table().constants[t].map(i64::from);
        let f = naive_w8a16(&spec, t, &z.iter().map(|&v| v as i16).collect::<Vec<_>>());
        for (z, f) in z.iter_mut().zip(f) {
            let x = rounded(skip * *z + out * i64::from(f)).clamp(-4096, 4096);
            *z = rounded(keep * *z + pull * x + spread * i64::from(normal(&mut rng)));
        }
    }
    let mut sampler = Sampler::with_storage(&model, Heap::for_model(&model)).unwrap();
    let got = sampler.draw(&mut Xoshiro128PlusPlus::seed_from_u64(99));
    assert_eq!(got.iter().map(|q| i64::from(q.0)).collect::<Vec<_>>(), z);
}

#[test]
fn a_chain_by_steps_is_the_whole_chain() {
    let bytes = AlignedBytes::new(&integer_spec(&float_spec(7)).to_bytes().unwrap());
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
