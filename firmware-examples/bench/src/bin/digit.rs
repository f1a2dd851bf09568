//! Instructions of a sample and of a step, and of their parts, with the model that `ANCESTRAL_MODEL` names.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use ancestral::mlp::{estimate_data, forward};
use ancestral::model::StaticModel;
use ancestral::number::Number;
use ancestral::storage::{Buffers, Inline, Storage};
use ancestral::{BatchSampler, Format, Sampler, include_model, kernel};
use bench::{ModelFormat, Timer};
use core::hint::black_box;
use rand_xoshiro::{Xoshiro128PlusPlus, rand_core::SeedableRng};
use semihosting::{println, process::ExitCode};

#[cfg(target_arch = "arm")]
use cortex_m_rt::entry;
#[cfg(target_arch = "riscv32")]
use riscv_rt::entry;

include_model!(MODEL: ModelFormat = concat!(env!("OUT_DIR"), "/model.vdm"));

/// Four digits at once.
fn four<F: Format, const D: usize, const W: usize>(timer: &mut Timer, model: &'static StaticModel<F, D, W>) {
    let mut generators = [1, 2, 3, 4].map(Xoshiro128PlusPlus::seed_from_u64);
    let mut sampler: BatchSampler<'_, F, D, W, 4> = BatchSampler::new(model);
    let mut all = u64::from(timer.ticks(|| sampler.start(&mut generators)));
    let mut ended = false;
    while !ended {
        all += u64::from(timer.ticks(|| ended = sampler.step(&mut generators).is_none()));
    }
    all += u64::from(timer.ticks(|| {
        black_box(sampler.levels());
    }));
    println!("four {all}");
}

/// The two products and the read-out of all steps; z_T is in the state's place, and noise in the output's.
fn read_out<F: Format, const D: usize, const W: usize>(timer: &mut Timer, model: &'static StaticModel<F, D, W>) {
    let mut rng = Xoshiro128PlusPlus::seed_from_u64(3);
    let table = model.model().step_table();
    let mut normals = || core::array::from_fn(|_| F::Number::normal(&mut rng));
    let (state, output): ([F::Number; D], [F::Number; D]) = (normals(), normals());
    let mut all = 0u64;
    for t in 1..=table.steps() {
        let Some(constants) = table.constants_at(t) else { continue };
        let mut estimate = output;
        all += u64::from(timer.ticks(|| estimate_data(&constants, table.read_outs.get(t), &state, &mut estimate)));
        black_box(estimate);
    }
    println!("readout {all}");
}

fn count<F: Format, const D: usize, const W: usize>(model: &'static StaticModel<F, D, W>) -> Option<()> {
    let mut timer = Timer::start()?;
    println!("kernel {}", kernel::NAME);
    println!("scale {}", timer.scale());
    let mut rng = Xoshiro128PlusPlus::seed_from_u64(7);
    let mut sampler = Sampler::new(model);
    let mut start = timer.ticks(|| sampler.start(&mut rng));
    println!("start {start}");
    let (mut all, mut decoder, mut calls) = (0u64, 0u32, 0u32);
    let steps = model.model().steps() as u32;
    loop {
        let mut ended = false;
        let ticks = timer.ticks(|| ended = sampler.step(&mut rng).is_none());
        if ended {
            break;
        }
        calls += 1;
        if calls > steps {
            decoder = ticks;
        } else {
            all += u64::from(ticks);
        }
    }
    println!("steps {steps}");
    println!("calls {calls}");
    println!("chain {all}");
    println!("decoder {decoder}");
    start = timer.ticks(|| {
        black_box(sampler.levels());
    });
    println!("decode {start}");
    let mut storage = Inline::<F, D, W>::default();
    let Buffers {
        state,
        estimate,
        mut scratch,
        ..
    } = storage.buffers(D);
    let noise = timer.ticks(|| {
        for z in state.iter_mut() {
            *z = F::Number::normal(&mut rng);
        }
    });
    println!("noise {noise}");
    let network = model.model();
    // Of all steps, because a step may have an exponent and another none.
    let mut mlp = 0u64;
    for t in 1..=network.steps() {
        mlp += u64::from(timer.ticks(|| forward(network, t, state, &mut scratch, estimate)));
    }
    black_box(estimate);
    println!("mlp {mlp}");
    read_out(&mut timer, model);
    four(&mut timer, model);
    Some(())
}

#[entry]
fn main() -> ! {
    match count(&MODEL) {
        Some(()) => ExitCode::SUCCESS,
        None => ExitCode::FAILURE,
    }
    .exit_process()
}
