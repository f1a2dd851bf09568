//! Output of the firmware as text over semihosting.

use cortex_m_semihosting::hprint;
use firmware_shared::{Console, Text};
// Reports a panic to the host and exits with the status of failure.
use panic_semihosting as _;

/// Returns the console.
pub fn console() -> impl Console {
    Text(|line| hprint!("{}", line))
}
