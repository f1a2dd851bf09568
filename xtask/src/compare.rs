//! Comparing what the board printed with what it should have printed.

use anyhow::{Result, bail};

/// The `hex <index> <levels>` lines of an output, without what stands between them.
pub fn hex_lines(text: &str) -> Vec<&str> {
    text.lines()
        .map(str::trim_end)
        .filter(|line| line.starts_with("hex "))
        .collect()
}

/// Fails unless both drew the same digits; returns how many. The error names the first value that
/// differs.
pub fn same_digits(board: &str, desktop: &str) -> Result<usize> {
    let (board, desktop) = (hex_lines(board), hex_lines(desktop));
    for (left, right) in board.iter().zip(&desktop) {
        if left != right {
            bail!("{}", first_difference(left, right));
        }
    }
    if board.len() != desktop.len() {
        bail!("the board drew {} digits, the desktop {}", board.len(), desktop.len());
    }
    if board.is_empty() {
        bail!("neither the board nor the desktop printed a line that begins with `hex `");
    }
    Ok(board.len())
}

fn first_difference(board: &str, desktop: &str) -> String {
    let split = |line: &str| -> (String, Vec<u8>) {
        let mut words = line.split_whitespace().skip(1);
        let index = words.next().unwrap_or("?").to_owned();
        (index, words.next().unwrap_or("").bytes().collect())
    };
    let ((index, left), (other, right)) = (split(board), split(desktop));
    let pairs = left.chunks(2).zip(right.chunks(2));
    if index == other
        && left.len() == right.len()
        && let Some((place, (a, b))) = pairs.enumerate().find(|(_, (a, b))| a != b)
    {
        let text = String::from_utf8_lossy;
        return format!(
            "digit {index} differs: value {place} is {} on the board and {} on the desktop",
            text(a),
            text(b)
        );
    }
    format!("the board printed `{board}` where the desktop printed `{desktop}`")
}

/// Fails unless the texts are equal, line ends aside. The error names the first line that differs.
pub fn same_text(golden: &str, actual: &str) -> Result<()> {
    let (mut expected, mut found) = (golden.lines(), actual.lines());
    for number in 1.. {
        match (expected.next(), found.next()) {
            (None, None) => break,
            (left, right) if left == right => {}
            (left, right) => {
                let say = |line: Option<&str>| match line {
                    Some(text) => format!("`{text}`"),
                    None => "the end".to_owned(),
                };
                bail!("line {number} should be {} and is {}", say(left), say(right));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(result: Result<impl std::fmt::Debug>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn hex_lines_are_picked_from_the_art() {
        let text = "digit 0\n  ::@@\nhex 0 0010\r\n  hex of no digit\nhex 1 0c0d\n";
        assert_eq!(hex_lines(text), ["hex 0 0010", "hex 1 0c0d"]);
    }

    #[test]
    fn equal_digits_are_counted() {
        assert_eq!(
            same_digits("art\nhex 0 00\nhex 1 10\n", "hex 0 00\nhex 1 10\n").unwrap(),
            2
        );
    }

    #[test]
    fn the_first_value_that_differs_is_named() {
        let error = message(same_digits("hex 3 000c10\n", "hex 3 000d10\n"));
        assert_eq!(
            error,
            "digit 3 differs: value 1 is 0c on the board and 0d on the desktop"
        );
    }

    #[test]
    fn unlike_lines_are_shown_whole() {
        let error = message(same_digits("hex 3 00\n", "hex 4 00\n"));
        assert_eq!(
            error,
            "the board printed `hex 3 00` where the desktop printed `hex 4 00`"
        );
        assert!(message(same_digits("hex 3 00\n", "hex 3 0000\n")).contains("`hex 3 0000`"));
    }

    #[test]
    fn missing_digits_are_an_error() {
        let error = message(same_digits("hex 0 00\n", "hex 0 00\nhex 1 00\n"));
        assert_eq!(error, "the board drew 1 digits, the desktop 2");
        assert!(message(same_digits("", "")).contains("neither"));
    }

    #[test]
    fn the_first_line_that_differs_is_named() {
        assert!(same_text("a\r\nb\r\n", "a\nb\n").is_ok());
        assert_eq!(
            message(same_text("a\nb\n", "a\nc\n")),
            "line 2 should be `b` and is `c`"
        );
        assert_eq!(
            message(same_text("a\nb\n", "a\n")),
            "line 2 should be `b` and is the end"
        );
        assert_eq!(
            message(same_text("a\n", "a\nb\n")),
            "line 2 should be the end and is `b`"
        );
    }
}
