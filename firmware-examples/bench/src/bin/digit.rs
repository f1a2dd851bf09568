//! Instructions of a sample and of a step, and of their parts, with the model that `ANCESTRAL_MODEL` names.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use ancestral::mlp::forward;
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

fn count<F: Format, const D: usize, const W: usize>(model: &'static StaticModel<F, D, W>) -> Option<()> {
    let mut timer = Timer::start()?;
    println!("kernel {}", kernel::NAME);
    println!("scale {}", timer.scale());
    let mut rng = Xoshiro128PlusPlus::seed_from_u64(7);
    let mut sampler = Sampler::new(model);
    let mut start = timer.ticks(|| sampler.start(&mut rng));
    println!("start {start}");
    let (mut all, mut steps) = (0u64, 0u32);
    loop {
        let mut ended = false;
        let ticks = timer.ticks(|| ended = sampler.step(&mut rng).is_none());
        if ended {
            break;
        }
        all += u64::from(ticks);
        steps += 1;
    }
    println!("steps {steps}");
    println!("chain {all}");
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
