//! Memory of a sampler: its own bytes, and the stack that drawing takes, painted and looked at. The model is that of
//! `ANCESTRAL_MODEL` in the format of `ANCESTRAL_FORMAT`.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use ancestral::storage::buffer_bytes;
use ancestral::{Sampler, include_model};
use bench::{Chosen, stack::deepest};
use core::hint::black_box;
use rand_xoshiro::{Xoshiro128PlusPlus, rand_core::SeedableRng};
use semihosting::{println, process::ExitCode};

#[cfg(target_arch = "arm")]
use cortex_m_rt::entry;
#[cfg(target_arch = "riscv32")]
use riscv_rt::entry;

include_model!(MODEL: Chosen = env!("ANCESTRAL_MODEL"));

#[entry]
fn main() -> ! {
    let mut rng = Xoshiro128PlusPlus::from_seed(*b"sixteen are here");
    let mut sampler = Sampler::new(&MODEL);
    let model = MODEL.model();
    println!("buffers {}", buffer_bytes::<Chosen>(model.dim(), model.width()));
    println!("sampler {}", size_of_val(&sampler));
    println!("nothing {}", deepest(|| {}));
    let stack = deepest(|| {
        black_box(sampler.sample(black_box(&mut rng)));
    });
    println!("stack {stack}");
    ExitCode::SUCCESS.exit_process()
}
