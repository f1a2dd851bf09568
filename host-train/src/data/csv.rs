//! Comma-separated numbers, with or without a header.

use std::io::Read;

use ::csv::{ByteRecord, ReaderBuilder, Trim};

use super::error::DataError;
use super::spec::LabelColumn;
use super::table::{Table, field, is_finite, unreadable};

/// Longest piece of a bad field that a message repeats.
const SHOWN_CHARS: usize = 40;

/// Reads every row of `text`, which error messages call `file`. Empty lines are skipped but counted.
///
/// The first row is a header if none of its values is a number. A first row with some numbers is data, and wrong:
/// silently dropping it would lose a row.
pub(super) fn read(file: &str, mut source: impl Read, label: LabelColumn) -> Result<Table, DataError> {
    let mut text = Vec::new();
    source
        .read_to_end(&mut text)
        .map_err(|error| unreadable(file, &error))?;
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .from_reader(text.as_slice());
    let mut table = Table {
        file: file.to_owned(),
        dim: 0,
        values: Vec::new(),
        row_numbers: Vec::new(),
        header: None,
    };
    let mut width = None;
    let mut lines = LineCounter {
        text: &text,
        position: 0,
        line: 1,
    };
    let mut record = ByteRecord::new();

    // Reading from memory cannot fail, and a flexible reader accepts whatever it finds.
    while reader.read_byte_record(&mut record).unwrap_or(false) {
        let row = lines.line_of(&record);
        if record.len() == 1 && record[0].is_empty() {
            continue;
        }
        let expected = *width.get_or_insert(record.len());
        if record.len() != expected {
            return Err(DataError::RaggedRow {
                file: file.to_owned(),
                row,
                found: record.len(),
                expected,
            });
        }
        table.dim = match label {
            LabelColumn::None => expected,
            LabelColumn::Last => expected - 1,
        };
        if table.dim == 0 {
            return Err(DataError::Empty { file: file.to_owned() });
        }
        let fields = || record.iter().take(table.dim).map(String::from_utf8_lossy);
        let is_first = table.header.is_none() && table.row_numbers.is_empty();
        if is_first && fields().all(|text| text.parse::<f64>().is_err()) {
            table.header = Some(fields().map(|name| shortened(&name)).collect());
            continue;
        }
        for (index, text) in fields().enumerate() {
            let place = || (file.to_owned(), field(table.header.as_deref(), index), shortened(&text));
            let Ok(value) = text.parse::<f64>() else {
                let (file, field, found) = place();
                return Err(DataError::NotANumber {
                    file,
                    row,
                    field,
                    found,
                });
            };
            if !is_finite(value) {
                let (file, field, found) = place();
                return Err(DataError::NotFinite {
                    file,
                    row,
                    field,
                    found,
                });
            }
            table.values.push(value);
        }
        table.row_numbers.push(row);
    }
    if table.row_numbers.is_empty() {
        return Err(DataError::Empty { file: file.to_owned() });
    }
    Ok(table)
}

/// Finds the line, as an editor counts, on which a record begins. The reader's own count is one behind after an empty
/// line and after a carriage return.
struct LineCounter<'a> {
    text: &'a [u8],
    position: usize,
    line: u64,
}

impl LineCounter<'_> {
    /// The line of `record`, which must not come before the record of the last call.
    fn line_of(&mut self, record: &ByteRecord) -> u64 {
        let begin = record
            .position()
            .map_or(self.position, |position| position.byte() as usize);
        let skipped = self.text[begin..]
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        let passed = &self.text[self.position..begin + skipped];
        self.line += passed.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.position = begin + skipped;
        self.line
    }
}

/// `text` cut to a length that fits into a message.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
