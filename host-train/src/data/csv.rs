//! Comma-separated numbers, with or without a header.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use ::csv::{ByteRecord, ReaderBuilder, Trim};
use flate2::read::MultiGzDecoder;

use super::error::DataError;
use super::spec::{DataSpec, LabelColumn};
use super::table::{RawTable, is_finite, unreadable};

/// Characters of a bad field that a message repeats.
const SHOWN_CHARS: usize = 40;

/// Reads a `.csv` file.
pub(super) fn read_file(path: &Path, spec: &DataSpec) -> Result<RawTable, DataError> {
    let (file, open) = open(path)?;
    read(&file, open, spec.label_column)
}

/// Reads a `.csv.gz` file.
pub(super) fn read_compressed_file(path: &Path, spec: &DataSpec) -> Result<RawTable, DataError> {
    let (file, open) = open(path)?;
    read(&file, MultiGzDecoder::new(open), spec.label_column)
}

fn open(path: &Path) -> Result<(String, File), DataError> {
    let file = path.display().to_string();
    match File::open(path) {
        Ok(open) => Ok((file, open)),
        Err(error) => Err(unreadable(&file, &error)),
    }
}

/// Reads every row of `source`, which error messages call `file`. Empty lines are skipped but counted.
///
/// The first row is a header if none of its values is a number. A first row with some numbers is data, and wrong:
/// silently dropping it would lose a row.
pub(super) fn read(file: &str, mut source: impl Read, label: LabelColumn) -> Result<RawTable, DataError> {
    let mut text = Vec::new();
    source
        .read_to_end(&mut text)
        .map_err(|error| unreadable(file, &error))?;
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .from_reader(text.as_slice());
    let mut rows = RowReader::new(file, label);
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
        rows.push(row, &record)?;
    }
    if rows.table.row_numbers.is_empty() {
        return Err(DataError::Empty { file: file.to_owned() });
    }
    Ok(rows.table)
}

/// The table as far as it has been read.
struct RowReader {
    table: RawTable,
    label: LabelColumn,
    /// Fields of the first row.
    width: Option<usize>,
}

impl RowReader {
    fn new(file: &str, label: LabelColumn) -> Self {
        Self {
            table: RawTable {
                file: file.to_owned(),
                dim: 0,
                values: Vec::new(),
                row_numbers: Vec::new(),
                header: None,
            },
            label,
            width: None,
        }
    }

    /// Takes up the record that stands at line `row`.
    fn push(&mut self, row: u64, record: &ByteRecord) -> Result<(), DataError> {
        self.check_width(row, record.len())?;
        let table = &mut self.table;
        let fields = || record.iter().take(table.dim).map(String::from_utf8_lossy);
        let is_first = table.header.is_none() && table.row_numbers.is_empty();
        if is_first && fields().all(|text| text.parse::<f64>().is_err()) {
            let header = fields().map(|name| shortened(&name)).collect();
            table.header = Some(header);
            return Ok(());
        }
        let values = fields()
            .enumerate()
            .map(|(index, text)| parse(&text).map_err(|fault| value_error(table, row, index, &text, fault)))
            .collect::<Result<Vec<f64>, _>>()?;
        table.values.extend(values);
        table.row_numbers.push(row);
        Ok(())
    }

    /// Checks the number of fields, which the first row sets.
    fn check_width(&mut self, row: u64, found: usize) -> Result<(), DataError> {
        let expected = *self.width.get_or_insert(found);
        let file = || self.table.file.clone();
        if found != expected {
            return Err(DataError::RaggedRow {
                file: file(),
                row,
                found,
                expected,
            });
        }
        let dim = match self.label {
            LabelColumn::None => expected,
            LabelColumn::Last => expected - 1,
        };
        if dim == 0 {
            return Err(DataError::Empty { file: file() });
        }
        self.table.dim = dim;
        Ok(())
    }
}

/// Reason why a field holds no usable value.
enum ValueFault {
    NotANumber,
    NotFinite,
}

fn parse(text: &str) -> Result<f64, ValueFault> {
    match text.parse::<f64>() {
        Err(_) => Err(ValueFault::NotANumber),
        Ok(value) if !is_finite(value) => Err(ValueFault::NotFinite),
        Ok(value) => Ok(value),
    }
}

fn value_error(table: &RawTable, row: u64, index: usize, text: &str, fault: ValueFault) -> DataError {
    let (file, field, found) = (table.file.clone(), table.field(index), shortened(text));
    match fault {
        ValueFault::NotANumber => DataError::NotANumber {
            file,
            row,
            field,
            found,
        },
        ValueFault::NotFinite => DataError::NotFinite {
            file,
            row,
            field,
            found,
        },
    }
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
