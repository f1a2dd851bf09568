//! The least firmware: draws a sample and ends. What it has more than the same without the sampler is what the sampler
//! takes of a flash, and what is in it is what the sampler can reach.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use semihosting::process::ExitCode;

#[cfg(target_arch = "arm")]
use cortex_m_rt::entry;
#[cfg(target_arch = "riscv32")]
use riscv_rt::entry;

#[cfg(not(bench_empty))]
mod sample {
    use ancestral::{Sampler, include_model};
    use bench::ModelFormat;
    use core::hint::black_box;
    use rand_xoshiro::{Xoshiro128PlusPlus, rand_core::SeedableRng};

    include_model!(MODEL: ModelFormat = concat!(env!("OUT_DIR"), "/model.vdm"));

    /// Draws one sample.
    pub fn draw() {
        // As a hardware generator would seed it.
        let mut rng = Xoshiro128PlusPlus::from_seed(*b"sixteen are here");
        let mut sampler = Sampler::new(&MODEL);
        black_box(sampler.sample(&mut rng));
    }
}

#[entry]
fn main() -> ! {
    #[cfg(not(bench_empty))]
    sample::draw();
    ExitCode::SUCCESS.exit_process()
}
