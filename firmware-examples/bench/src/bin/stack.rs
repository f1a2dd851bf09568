//! Memory of a sampler: its own bytes, and the stack that drawing takes, which is painted before and inspected
//! afterwards. `ANCESTRAL_MODEL` names the model.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use ancestral::storage::buffer_bytes;
use ancestral::{Sampler, include_model};
use bench::{ModelFormat, stack::deepest};
use core::hint::black_box;
use rand_xoshiro::{Xoshiro128PlusPlus, rand_core::SeedableRng};
use semihosting::{println, process::ExitCode};

#[cfg(target_arch = "arm")]
use cortex_m_rt::entry;
#[cfg(target_arch = "riscv32")]
use riscv_rt::entry;

include_model!(MODEL: ModelFormat = concat!(env!("OUT_DIR"), "/model.vdm"));

#[entry]
fn main() -> ! {
    let mut rng = Xoshiro128PlusPlus::from_seed(*b"sixteen are here");
    let mut sampler = Sampler::new(&MODEL);
    let model = MODEL.model();
    println!("buffers {}", buffer_bytes::<ModelFormat>(model.dim(), model.width()));
    println!("sampler {}", size_of_val(&sampler));
    println!("nothing {}", deepest(|| {}));
    let stack = deepest(|| {
        black_box(sampler.sample(black_box(&mut rng)));
    });
    println!("stack {stack}");
    ExitCode::SUCCESS.exit_process()
}
