//! Prints what every number format computes, on a microcontroller core: the lines of `tests/golden/parity.txt`, which the desktop
//! prints too. Which core it is, only the build knows; nothing printed depends on it.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

#[path = "../../../tests/parity/vectors.rs"]
mod vectors;

use semihosting::{println, process::ExitCode};

#[cfg(target_arch = "arm")]
use cortex_m_rt::entry;
#[cfg(target_arch = "riscv32")]
use riscv_rt::entry;

#[entry]
fn main() -> ! {
    vectors::print(&mut |line| println!("{line}"));
    ExitCode::SUCCESS.exit_process()
}
