//! Digits as pictures of characters and as hex lines.
//!
//! Writing to the host is slow (over semihosting it stops the core until the debugger has answered), so a line is put
//! together first and goes out in one.

use core::fmt::Write;

use heapless::String;

use crate::Console;

/// Pixels in a row of a digit.
const ROW: usize = 8;

/// From paper to ink.
const RAMP: &[u8] = b" .:-=+*#%@";

/// The highest gray level of the data.
const WHITE: usize = 16;

/// Long enough for `hex`, an index and 64 values.
type Line = String<160>;

/// Prints lines by a function, which gets each one whole, with its end.
pub struct Text<P: FnMut(&str)>(pub P);

impl<P: FnMut(&str)> Console for Text<P> {
    fn hello(&mut self, count: u32, steps: usize, seed: u64) {
        let mut line = Line::new();
        let _ = writeln!(line, "{count} digits of {steps} steps, seed {seed}");
        (self.0)(&line);
    }

    /// Draws a digit, and prints its levels for the comparison with the desktop.
    fn digit(&mut self, index: u32, levels: &[u8]) {
        for row in levels.chunks(ROW) {
            (self.0)(&picture(row));
        }
        let mut line = Line::new();
        let _ = write!(line, "hex {index} ");
        for level in levels {
            let _ = write!(line, "{level:02x}");
        }
        let _ = line.push('\n');
        (self.0)(&line);
    }
}

fn picture(row: &[u8]) -> Line {
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
    line
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::String;

    use super::*;

    #[test]
    fn a_digit_is_a_picture_and_a_hex_line() {
        let mut printed = String::new();
        let mut console = Text(|line: &str| printed.push_str(line));
        console.hello(1, 8, 7);
        console.digit(3, &[0, 4, 8, 16, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 255]);
        assert_eq!(
            printed,
            "1 digits of 8 steps, seed 7\n  ::==@@\n@@            ??\nhex 3 000408100000000010000000000000ff\n"
        );
    }
}
