//! Draws digits on a Cortex-M4F: the model is in flash, the sampler in RAM, and there is no heap.
//!
//! The board is QEMU's `mps2-an386`. The module `console` prints; `firmware_shared` draws, the same on every machine
//! that has the same model and the same seed.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

#[cfg_attr(feature = "defmt", path = "console_defmt.rs")]
mod console;

use ancestral::include_model;
use cortex_m_rt::entry;
use cortex_m_semihosting::debug;

// ModelFormat, COUNT and SEED.
include!(concat!(env!("OUT_DIR"), "/model.rs"));
include!(concat!(env!("OUT_DIR"), "/settings.rs"));

// The build script has put the model here, and found out its number format. Your own firmware will name it:
// include_model!(DIGITS: W8A16 = "digits.vdm");
include_model!(DIGITS: ModelFormat = concat!(env!("OUT_DIR"), "/model.vdm"));

#[entry]
fn main() -> ! {
    firmware_shared::draw(&DIGITS, (COUNT, SEED), &mut console::console());
    // A real board has nothing to exit to; here it ends QEMU with the status of success.
    debug::exit(debug::EXIT_SUCCESS);
    loop {
        cortex_m::asm::wfi();
    }
}
