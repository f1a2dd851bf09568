//! Output of the firmware as defmt frames over semihosting: read them with `defmt-print`.

use core::panic::PanicInfo;

use cortex_m_semihosting::debug;
use defmt_semihosting as _;
use firmware_shared::Console;

/// Returns the console.
pub fn console() -> impl Console {
    Frames
}

struct Frames;

impl Console for Frames {
    fn hello(&mut self, count: u32, steps: usize, seed: u64) {
        defmt::info!("{=u32} digits of {=usize} steps, seed {=u64}", count, steps, seed);
    }

    fn digit(&mut self, index: u32, levels: &[u8]) {
        defmt::info!("digit {=u32}: {=[u8]:02x}", index, levels);
    }
}

/// Text on the same stream would break the frames, so that a panic is a frame, too.
#[panic_handler]
fn panic(information: &PanicInfo) -> ! {
    defmt::error!("{}", defmt::Display2Format(information));
    debug::exit(debug::EXIT_FAILURE);
    loop {
        cortex_m::asm::wfi();
    }
}
