//! Everything random in a step.

use crate::emulator::{Emulator, Memory};
use host_train::fused::device::draw::{Draw, quantiles};
use host_train::rng::{Counter, Purpose};

/// All draws have the same bits as on the CPU.
#[test]
fn draws_are_those_of_the_cpu() {
    let Some(emulator) = Emulator::get("draws_are_those_of_the_cpu") else {
        return;
    };
    let (seed, step) = (0x1234_5678_9ABC_DEF0, (7 << 32) + 3);
    let counter = Counter { seed, step };
    let (at, table) = (Memory::from_values(&[step]), Memory::from_values(&quantiles()));
    let draw = Draw {
        seed,
        step: at.span(1),
        table: table.span(quantiles().len()),
    };
    for n in [1, 6, 4000] {
        let noise = Memory::uninitialized(4 * n);
        draw.normals(emulator, Purpose::Noise, noise.span(n)).unwrap();
        assert_eq!(noise.read::<f32>(n), counter.normals(Purpose::Noise, n, 1));

        let mask = Memory::uninitialized(4 * n);
        draw.masks(emulator, Purpose::Mask(2), 0.1, mask.span(n)).unwrap();
        let expected = host_train::train::loss::mask_uniforms(counter.uniforms(Purpose::Mask(2), n, 1), 0.1);
        assert_eq!(mask.read::<f32>(n), expected);

        for start in [0.0, 0.125, 1.0 / 3.0] {
            let t = Memory::uninitialized(4 * n);
            draw.times(emulator, 64, start, t.span(n)).unwrap();
            assert_eq!(
                t.read::<u32>(n),
                host_train::train::loss::times_to_steps(counter.times(n), 64, start)
            );
        }

        let (total, dim) = (211, 3);
        let data: Vec<f32> = (0..total * dim).map(|i| i as f32).collect();
        let (from, out) = (Memory::from_values(&data), Memory::uninitialized(4 * n * dim));
        draw.rows(emulator, from.span(data.len()), dim, out.span(n * dim))
            .unwrap();
        let rows = counter.below(total, n);
        let expected: Vec<f32> = rows
            .iter()
            .flat_map(|r| &data[r * dim..(r + 1) * dim])
            .copied()
            .collect();
        assert_eq!(out.read::<f32>(n * dim), expected);
    }
}
