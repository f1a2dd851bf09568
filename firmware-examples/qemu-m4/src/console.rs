//! What the firmware says, as text over semihosting.
//!
//! A call to the host is slow (on real hardware it stops the core until the debugger has answered),
//! so a line is put together first and goes out in one.

use core::fmt::Write;

use cortex_m_semihosting::hprint;
use heapless::String;
// Reports a panic to the host and exits with the status of failure.
use panic_semihosting as _;

/// Pixels in a row of a digit.
const ROW: usize = 8;

/// From paper to ink.
const RAMP: &[u8] = b" .:-=+*#%@";

/// The highest grey level of the data.
const WHITE: usize = 16;

/// Long enough for `hex`, an index and 64 values.
type Line = String<160>;

/// Says what is about to happen.
pub fn hello(steps: usize) {
    let mut line = Line::new();
    let _ = writeln!(line, "{} digits of {steps} steps, seed {}", crate::COUNT, crate::SEED);
    hprint!("{}", line.as_str());
}

/// Draws a digit, and prints its levels for the comparison with the desktop.
pub fn digit(index: u32, levels: &[u8]) {
    for row in levels.chunks(ROW) {
        let mut line = Line::new();
        for &level in row {
            let shade = usize::from(level) * (RAMP.len() - 1) / WHITE;
            let ink = char::from(RAMP.get(shade).copied().unwrap_or(b'?'));
            // Twice, because a character is about twice as high as it is wide.
            let _ = line.push(ink);
            let _ = line.push(ink);
        }
        let end = line.trim_end_matches(' ').len();
        line.truncate(end);
        let _ = line.push('\n');
        hprint!("{}", line.as_str());
    }
    let mut line = Line::new();
    let _ = write!(line, "hex {index} ");
    for level in levels {
        let _ = write!(line, "{level:02x}");
    }
    let _ = line.push('\n');
    hprint!("{}", line.as_str());
}
