//! What the firmware says, as defmt frames over semihosting: read them with `defmt-print`.

use core::panic::PanicInfo;

use cortex_m_semihosting::debug;
use defmt_semihosting as _;

/// Says what is about to happen.
pub fn hello(steps: usize) {
    defmt::info!(
        "{=u32} digits of {=usize} steps, seed {=u64}",
        crate::COUNT,
        steps,
        crate::SEED
    );
}

/// Logs the levels of a digit.
pub fn digit(index: u32, levels: &[u8]) {
    defmt::info!("digit {=u32}: {=[u8]:02x}", index, levels);
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
