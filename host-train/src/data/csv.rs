//! Comma-separated numbers, with or without a header.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use ::csv::{ByteRecord, ReaderBuilder, Trim};
use flate2::read::MultiGzDecoder;

use super::error::DataError;
use super::fields::{fault_error, names_missing, parse, shortened};
use super::label::{LabelColumn, label_position};
use super::options::ReadOptions;
use super::suspicions::check_first_row;
use super::table::{Origin, RawLabel, RawTable, unreadable};
use super::text;

/// Reads a `.csv` file.
pub(super) fn read_file(path: &Path, options: &ReadOptions) -> Result<RawTable, DataError> {
    let (file, open) = open(path)?;
    read(&file, open, options)
}

/// Reads a `.csv.gz` file.
pub(super) fn read_compressed_file(path: &Path, options: &ReadOptions) -> Result<RawTable, DataError> {
    let (file, open) = open(path)?;
    read(&file, MultiGzDecoder::new(open), options)
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
/// Unless the options say so, the first row is a header if none of its values is a number. A first row with some
/// numbers is data, and wrong: silently dropping it would lose a row.
pub(super) fn read(file: &str, mut source: impl Read, options: &ReadOptions) -> Result<RawTable, DataError> {
    let mut bytes = Vec::new();
    source
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(file, &error))?;
    let text = text::decode(file, bytes)?;
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .delimiter(text::separator(&text.bytes))
        .from_reader(text.bytes.as_slice());
    let mut rows = RowReader::new(file, options);
    rows.table.remarks.extend(text.remark);
    let mut lines = LineCounter {
        text: &text.bytes,
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
        check_quotes(file, row, &record, &text.bytes[lines.position..])?;
        rows.push(row, &record)?;
    }
    if rows.table.len() == 0 {
        return Err(DataError::Empty { file: file.to_owned() });
    }
    check_first_row(&mut rows.table, options)?;
    Ok(rows.table)
}

/// Checks that no field goes on over the end of a line: the quote that would close it is missing.
///
/// * `rest`: the text from the beginning of the record.
fn check_quotes(file: &str, row: u64, record: &ByteRecord, rest: &[u8]) -> Result<(), DataError> {
    let unclosed = |index: usize| DataError::UnclosedQuote {
        file: file.to_owned(),
        row,
        number: index + 1,
    };
    if let Some(index) = record.iter().position(|field| field.contains(&b'\n')) {
        return Err(unclosed(index));
    }
    // The last line of a file can end before the quote does.
    let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
    let quotes = rest[..end.unwrap_or(rest.len())].iter().filter(|byte| **byte == b'"');
    match record.iter().next_back() {
        Some(_) if end.is_none() && quotes.count() % 2 == 1 => Err(unclosed(record.len() - 1)),
        _ => Ok(()),
    }
}

/// The table as far as it has been read.
struct RowReader<'o> {
    table: RawTable,
    options: &'o ReadOptions,
    /// Fields of the first row.
    width: Option<usize>,
}

impl<'o> RowReader<'o> {
    fn new(file: &str, options: &'o ReadOptions) -> Self {
        Self {
            table: RawTable::new(file),
            options,
            width: None,
        }
    }

    /// Takes up the record that stands at line `row`.
    fn push(&mut self, row: u64, record: &ByteRecord) -> Result<(), DataError> {
        let is_first = self.width.is_none();
        self.check_width(row, record.len())?;
        let fields: Vec<_> = record.iter().map(String::from_utf8_lossy).collect();
        if is_first {
            self.place_label(&fields)?;
        }
        let label = self.table.label.as_ref().map(|label| label.index);
        let is_value = |(index, _): &(usize, &_)| Some(*index) != label;
        let values = || {
            fields
                .iter()
                .enumerate()
                .filter(is_value)
                .map(|(_, text)| text.as_ref())
        };
        if is_first && self.is_header(values()) {
            let table = &mut self.table;
            table.header = Some(values().map(shortened).collect());
            if let Some(label) = &mut table.label {
                label.name = fields.get(label.index).map(|name| shortened(name));
            }
            return Ok(());
        }
        let table = &mut self.table;
        let numbers = values()
            .enumerate()
            .map(|(index, text)| parse(text).map_err(|fault| fault_error(table, row, index, text, fault)))
            .collect::<Result<Vec<f64>, _>>()?;
        table.values.extend(numbers);
        table.origins.push(Origin { file: 0, row });
        if let Some(label) = &mut table.label {
            label.texts.extend(fields.get(label.index).map(|text| text.to_string()));
        }
        Ok(())
    }

    /// Checks the number of fields, which the first row sets.
    fn check_width(&mut self, row: u64, found: usize) -> Result<(), DataError> {
        let expected = *self.width.get_or_insert(found);
        match found == expected {
            true => Ok(()),
            false => Err(DataError::RaggedRow {
                file: self.table.name(),
                row,
                found,
                expected,
            }),
        }
    }

    /// Finds the label column by the first row.
    fn place_label(&mut self, fields: &[Cow<'_, str>]) -> Result<(), DataError> {
        let names: Vec<String> = fields.iter().map(|field| shortened(field)).collect();
        let file = self.table.name();
        let label = label_position(&file, self.options.label.as_ref(), fields.len(), &names)?;
        self.table.dim = fields.len() - usize::from(label.is_some());
        self.table.label = label.map(RawLabel::new);
        Ok(())
    }

    /// Decides whether the first row, of which these are the values, names the columns.
    fn is_header<'f>(&self, values: impl Iterator<Item = &'f str> + Clone) -> bool {
        if matches!(self.options.label, Some(LabelColumn::Named(_))) {
            return true;
        }
        let is_number = |text: &str| text.parse::<f64>().is_ok();
        self.options.header.unwrap_or_else(|| {
            // pandas names the columns of an array 0, 1, 2, … and leaves out the name of its index.
            let mut rest = values.clone();
            let counted = rest.next() == Some("") && rest.enumerate().all(|(k, text)| text == k.to_string());
            let words = values.clone().all(|text| !is_number(text));
            (counted && self.table.dim > 1) || (words && !values.clone().all(names_missing))
        })
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
