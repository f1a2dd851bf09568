//! Prints what every number format computes, on a microcontroller core: the lines of `tests/golden/parity.txt`, which
//! the desktop prints too. Which core it is, only the build knows; nothing printed depends on it but the first line,
//! which names the kernel that was compared with the portable one.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

#[path = "../../../tests/parity/kernels.rs"]
mod kernels;
#[path = "../../../tests/parity/vectors.rs"]
mod vectors;

use semihosting::{println, process::ExitCode};

#[cfg(target_arch = "arm")]
use cortex_m_rt::entry;
#[cfg(target_arch = "riscv32")]
use riscv_rt::entry;

#[entry]
fn main() -> ! {
    match kernels::compare() {
        Ok(compared) => println!(
            "kernel {}: {} layers equal, {} by it",
            ancestral::kernel::NAME,
            compared.cases,
            compared.taken
        ),
        Err(difference) => {
            println!("kernel {}: {difference}", ancestral::kernel::NAME);
            ExitCode::FAILURE.exit_process()
        }
    }
    vectors::print(&mut |line| println!("{line}"));
    ExitCode::SUCCESS.exit_process()
}
