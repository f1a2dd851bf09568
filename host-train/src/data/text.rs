//! The bytes of a `.csv` as text that a reader of commas understands, or the reason why they are none.

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};

use super::error::DataError;

/// Text in an encoding that contains ASCII.
pub(super) struct Text {
    pub bytes: Vec<u8>,
    /// Sentence for the user about its encoding.
    pub remark: Option<String>,
}

/// Bytes from which the kind of a file is told.
const BEGINNING: usize = 4096;
/// Lines from which the separator is told.
const FIRST_LINES: usize = 10;

/// Decodes a file. Other encodings than UTF-16 agree on numbers and are kept as they are.
pub(super) fn decode(file: &str, bytes: Vec<u8>) -> Result<Text, DataError> {
    if let Some((encoding, _)) = Encoding::for_bom(&bytes)
        && encoding != encoding_rs::UTF_8
    {
        return Ok(Text {
            bytes: transcode(encoding, &bytes),
            remark: None,
        });
    }
    if let Some(encoding) = guess_utf_16(&bytes) {
        let name = encoding.name();
        return Ok(Text {
            bytes: transcode(encoding, &bytes),
            remark: Some(format!(
                "{file} has no byte order mark and was read as {name}: save it as UTF-8 if the numbers are wrong"
            )),
        });
    }
    match other_kind(&bytes) {
        Some((kind, remedy)) => Err(DataError::NotText {
            file: file.to_owned(),
            kind,
            remedy,
        }),
        None => Ok(Text { bytes, remark: None }),
    }
}

fn transcode(encoding: &'static Encoding, bytes: &[u8]) -> Vec<u8> {
    encoding.decode(bytes).0.into_owned().into_bytes()
}

/// Returns the byte order of UTF-16 without a mark: nearly every second byte is zero, and none of the others.
fn guess_utf_16(bytes: &[u8]) -> Option<&'static Encoding> {
    let pairs = &bytes[..bytes.len().min(BEGINNING)];
    let zeros = |first: usize| pairs.iter().skip(first).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    match pairs.len() / 2 * 9 / 10 {
        0 => None,
        most if even == 0 && odd >= most => Some(UTF_16LE),
        most if odd == 0 && even >= most => Some(UTF_16BE),
        _ => None,
    }
}

/// Returns kind and remedy of a file that is no table of text. Names of columns may begin like the mark of a picture,
/// so only bytes that no text has make a file suspicious, or the tag of a web page.
fn other_kind(bytes: &[u8]) -> Option<(String, &'static str)> {
    let beginning = &bytes[..bytes.len().min(BEGINNING)];
    let binary = beginning.iter().any(|byte| *byte < 9 || (14..27).contains(byte));
    let found = infer::get(bytes);
    let extension = found.map_or("", |kind| kind.extension());
    match extension {
        "html" | "xml" => Some((
            format!("a page in {extension}"),
            "download the table itself, not the page about it",
        )),
        _ if !binary => None,
        "gz" => Some(("compressed (gzip)".to_owned(), "name it .csv.gz, or unpack it")),
        "xlsx" | "xls" | "ods" => Some((
            format!("a workbook ({extension})"),
            "save the sheet as CSV and name that file",
        )),
        "zip" => Some((
            "a zip archive or a workbook".to_owned(),
            "unpack it, or save the sheet as CSV, and name that file",
        )),
        "" => Some(("binary".to_owned(), "save the numbers as text, or as .npy")),
        _ => Some((
            format!("a file of the kind {extension}"),
            "save the numbers as text, or as .npy",
        )),
    }
}

/// Returns the byte between the fields: a comma, or else the semicolon or tab that stands in each of the first lines
/// equally often.
pub(super) fn separator(text: &[u8]) -> u8 {
    let lines: Vec<&[u8]> = text
        .split(|byte| matches!(byte, b'\n' | b'\r'))
        .filter(|line| !line.is_empty())
        .take(FIRST_LINES)
        .collect();
    let regular = |separator: u8| {
        let mut counts = lines.iter().map(|line| count_unquoted(line, separator));
        let first = counts.next().unwrap_or(0);
        first > 0 && counts.all(|count| count == first)
    };
    [b';', b'\t'].into_iter().find(|s| regular(*s)).unwrap_or(b',')
}

fn count_unquoted(line: &[u8], wanted: u8) -> usize {
    let mut quoted = false;
    line.iter()
        .filter(|byte| {
            quoted ^= **byte == b'"';
            !quoted && **byte == wanted
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn semicolons_and_tabs_are_found_where_every_line_has_as_many() {
        for (text, expected) in [
            ("1,2\n3,4\n", b','),
            ("a;b\n1,5;2\n3;4\n", b';'),
            ("a\tb\n1\t2\n", b'\t'),
            ("1,\"a;b\"\n2,\"c;d\"\n", b','),
            ("1,a;b\n2,c\n", b','),
            ("1\n2\n", b','),
        ] {
            assert_eq!(separator(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn names_that_begin_like_a_picture_or_a_song_are_text() {
        for text in ["BMI,age\n1,2\n", "ID3,x\n1,2\n", "MZ\n1\n"] {
            assert!(decode("d.csv", text.into()).is_ok(), "{text}");
        }
    }
}
