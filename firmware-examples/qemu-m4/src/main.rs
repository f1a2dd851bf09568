//! Draws digits on a Cortex-M4F: the model is in flash, the sampler in RAM, and there is no heap.
//!
//! The board is QEMU's `mps2-an386`. What is said, and how, is in the module `console`; what is
//! drawn is the same on every machine that has the same model and the same seed.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

#[cfg_attr(feature = "defmt", path = "console_defmt.rs")]
mod console;

use ancestral::{Sampler, include_model};
use cortex_m_rt::entry;
use cortex_m_semihosting::debug;
use rand_xoshiro::Xoshiro128PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

// The build script has put the model here, and found out its number format. Your own firmware will name it:
// include_model!(DIGITS: W8A16 = "digits.vdm");
include_model!(DIGITS: Format = concat!(env!("OUT_DIR"), "/model.vdm"));

// Format, COUNT and SEED.
include!(concat!(env!("OUT_DIR"), "/settings.rs"));

#[entry]
fn main() -> ! {
    console::hello(DIGITS.model().steps());
    let mut rng = Xoshiro128PlusPlus::seed_from_u64(SEED);
    let mut sampler = Sampler::new(&DIGITS);
    for index in 0..COUNT {
        console::digit(index, sampler.sample(&mut rng));
    }
    // A real board has nothing to exit to; here it ends QEMU with the status of success.
    debug::exit(debug::EXIT_SUCCESS);
    loop {
        cortex_m::asm::wfi();
    }
}
