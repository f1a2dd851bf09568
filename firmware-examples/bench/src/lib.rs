//! Counts instructions from inside: a timer of the core, which QEMU's `-icount` advances by a fixed time for each
//! instruction.
#![no_std]
#![deny(unsafe_code)]

// ModelFormat, of the model that the build script was given.
include!(concat!(env!("OUT_DIR"), "/model.rs"));

#[allow(unsafe_code)]
pub mod stack;

/// Does nothing: a log of what the firmware executes shows where it stood.
#[inline(never)]
pub fn mark() {
    core::hint::black_box(());
}

/// The timer.
pub struct Timer {
    #[cfg(target_arch = "arm")]
    systick: cortex_m::peripheral::SYST,
    empty: u32,
}

#[cfg(target_arch = "arm")]
impl Timer {
    /// Starts it. Once.
    pub fn start() -> Option<Self> {
        let mut systick = cortex_m::Peripherals::take()?.SYST;
        systick.set_clock_source(cortex_m::peripheral::syst::SystClkSource::Core);
        systick.set_reload(0x00FF_FFFF);
        systick.clear_current();
        systick.enable_counter();
        let mut timer = Self { systick, empty: 0 };
        timer.empty = timer.ticks(|| {});
        Some(timer)
    }

    /// Ticks of `work`, without what reading the timer takes. It must end within 2²⁴ ticks, two million instructions or
    /// more.
    #[inline(never)]
    pub fn ticks(&mut self, mut work: impl FnMut()) -> u32 {
        mark();
        let before = cortex_m::peripheral::SYST::get_current();
        work();
        let after = cortex_m::peripheral::SYST::get_current();
        mark();
        let _ = &self.systick;
        (before.wrapping_sub(after) & 0x00FF_FFFF).wrapping_sub(self.empty)
    }

    /// Ticks of 40,000 instructions.
    pub fn scale(&mut self) -> u32 {
        // The delay's loop is two instructions for each "cycle".
        let long = self.ticks(|| cortex_m::asm::delay(60_000));
        long.wrapping_sub(self.ticks(|| cortex_m::asm::delay(40_000)))
    }
}

#[cfg(target_arch = "riscv32")]
impl Timer {
    /// Starts it.
    pub fn start() -> Option<Self> {
        let mut timer = Self { empty: 0 };
        timer.empty = timer.ticks(|| {});
        Some(timer)
    }

    /// Instructions of `work`, without what reading the counter takes.
    #[inline(never)]
    pub fn ticks(&mut self, mut work: impl FnMut()) -> u32 {
        mark();
        let before = riscv::register::minstret::read();
        work();
        let after = riscv::register::minstret::read();
        mark();
        (after.wrapping_sub(before) as u32).wrapping_sub(self.empty)
    }

    /// Ticks of 40,000 instructions.
    pub fn scale(&mut self) -> u32 {
        // The delay's loop is two instructions for two "cycles".
        let long = self.ticks(|| riscv::asm::delay(80_000));
        long.wrapping_sub(self.ticks(|| riscv::asm::delay(40_000)))
    }
}
