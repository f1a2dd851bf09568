//! Files that are easily misread: the sentence and the exit code of each.

use crate::common;
use crate::support::program;
use std::fmt::Write as _;

/// Trains on a file `d.csv` of continuous data; returns the exit code and what standard error says about the file.
fn train(name: &str, bytes: &[u8], keys: &str) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(name), bytes).unwrap();
    let text = common::config_text(name)
        .replace("levels = 5", keys)
        .replace("clip = true", "")
        .replace("steps = 40", "steps = 3");
    std::fs::write(folder.path().join("c.toml"), text).unwrap();
    let output = program(folder.path())
        .args(["train", "c.toml", "--out", "run"])
        .output()
        .unwrap();
    let root = folder.path().canonicalize().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).replace(&format!("{}/", root.display()), "");
    (output.status.code().unwrap(), error)
}

/// Twenty rows of numbers with fractions.
fn rows(columns: usize, separator: &str) -> String {
    let mut text = String::new();
    for row in 0..20 {
        let values: Vec<String> = (0..columns)
            .map(|column| {
                format!(
                    "{:.3}",
                    f64::from(row * 7 % 5) + 0.37 * (column + 1) as f64 + 0.01 * f64::from(row)
                )
            })
            .collect();
        writeln!(text, "{}", values.join(separator)).unwrap();
    }
    text
}

fn refused(bytes: &[u8], sentence: &str) {
    let (code, error) = train("d.csv", bytes, "");
    assert_eq!(code, 1, "{error}");
    assert_eq!(
        error.trim_end().lines().last(),
        Some(format!("error: {sentence}").as_str())
    );
}

fn warned(bytes: &[u8], keys: &str, sentence: &str) {
    let (code, error) = train("d.csv", bytes, keys);
    assert_eq!(code, 0, "{error}");
    assert!(error.contains(&format!("warning: {sentence}\n")), "{error}");
}

fn silent(bytes: &[u8], keys: &str, line: &str) {
    let (code, error) = train("d.csv", bytes, keys);
    assert_eq!(code, 0, "{error}");
    assert!(
        error.contains(&format!("{line}\n")) && !error.contains("warning: d.csv"),
        "{error}"
    );
}

#[test]
fn one_line_says_what_was_read() {
    silent(
        format!("a,b,c\n{}", rows(3, ",")).as_bytes(),
        "validation_rows = 0.1",
        "d.csv: 20 rows and 3 columns named by a header, continuous; 16 rows to train on, 2 for validation, 2 held \
         back for the test",
    );
}

const HEADER: &str = "as a header does, but is taken as data; set `header = true` if it names the columns, or \
                      `header = false` if it is data";

#[test]
fn a_header_of_numbers() {
    let counted = format!("0,1,2,3\n{}", rows(4, ","));
    refused(
        counted.as_bytes(),
        &format!("d.csv: the first row counts from 0 to 3, {HEADER}"),
    );
    let years = format!("2019,2020,2021,2022\n{}", rows(4, ","));
    refused(
        years.as_bytes(),
        &format!("d.csv: the first row holds the years 2019 to 2022, {HEADER}"),
    );
    let two = format!("0,1\n{}", rows(2, ","));
    warned(
        two.as_bytes(),
        "",
        &format!("d.csv: the first row counts from 0 to 1, {HEADER}"),
    );
    silent(
        counted.as_bytes(),
        "header = true",
        "d.csv: 20 rows and 4 columns named by a header, continuous; 18 rows to train on, 0 for validation, 2 held \
         back for the test",
    );
    silent(
        counted.as_bytes(),
        "header = false",
        "d.csv: 21 rows and 4 columns without a header, continuous; 19 rows to train on, 0 for validation, 2 held \
         back for the test",
    );
}

#[test]
fn an_index_of_pandas() {
    let indexed = |header: &str| {
        let rows = rows(2, ",");
        let lines = rows.lines().enumerate().map(|(row, line)| format!("{row},{line}\n"));
        format!("{header}{}", lines.collect::<String>())
    };
    let sentence = "d.csv, field 1: it has no name and numbers the rows, as the index that pandas writes; set \
                    `label_column = \"first\"` to leave it out, or write the file with `index=False`";
    refused(indexed(",a,b\n").as_bytes(), sentence);
    refused(indexed(",0,1\n").as_bytes(), sentence);
    let counts = "it counts the rows, as an index does; set `label_column = \"first\"` to leave it out";
    warned(indexed("").as_bytes(), "", &format!("d.csv, field 1: {counts}"));
    warned(
        indexed("id,a,b\n").as_bytes(),
        "",
        &format!("d.csv, field 1 (\"id\"): {counts}"),
    );
    silent(
        indexed(",a,b\n").as_bytes(),
        "label_column = \"first\"",
        "d.csv: 20 rows and 2 columns named by a header, continuous, column 1 (\"\") set aside as a label of 20 \
         values; 18 rows to train on, 0 for validation, 2 held back for the test",
    );
}

#[test]
fn missing_values() {
    let remedy = "stands for a missing value; remove the row or fill the value in (pandas: `dropna()`)";
    let text = format!("a,b\n{}NA,NA\n", rows(2, ","));
    refused(
        text.as_bytes(),
        &format!("d.csv, row 22, field 1 (\"a\"): \"NA\" {remedy}"),
    );
    let text = format!("NA,NA\n{}", rows(2, ","));
    refused(text.as_bytes(), &format!("d.csv, row 1, field 1: \"NA\" {remedy}"));
    let text = format!("{}1.5,\n", rows(2, ","));
    refused(text.as_bytes(), &format!("d.csv, row 21, field 2: \"\" {remedy}"));
}

#[test]
fn utf_16_is_read_with_and_without_its_mark() {
    let text = format!("a,b\n{}", rows(2, ","));
    let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let line = "d.csv: 20 rows and 2 columns named by a header, continuous; 18 rows to train on, 0 for validation, \
                2 held back for the test";
    silent(&[&[0xff, 0xfe], little.as_slice()].concat(), "", line);
    silent(&[&[0xfe, 0xff], big.as_slice()].concat(), "", line);
    for (bytes, name) in [(little, "UTF-16LE"), (big, "UTF-16BE")] {
        let sentence =
            format!("d.csv has no byte order mark and was read as {name}: save it as UTF-8 if the numbers are wrong");
        warned(&bytes, "", &sentence);
    }
}

#[test]
fn other_files_with_the_name_of_a_text() {
    use std::io::Write as _;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(rows(2, ",").as_bytes()).unwrap();
    let kind = |kind: &str, remedy: &str| format!("d.csv is {kind}, not comma-separated text: {remedy}");
    refused(
        &gzip.finish().unwrap(),
        &kind("compressed (gzip)", "name it .csv.gz, or unpack it"),
    );
    // The beginning of a workbook as openpyxl writes it, and of any zip.
    refused(
        b"PK\x03\x04\x14\0\0\0\x08\0\0\0!\0dU\xe7\x90\0\0\0\0\0\0\0\0\x10\0\0\0docProps/app.xml",
        &kind(
            "a zip archive or a workbook",
            "unpack it, or save the sheet as CSV, and name that file",
        ),
    );
    refused(
        b"<!DOCTYPE html><html><body>404</body></html>",
        &kind("a page in html", "download the table itself, not the page about it"),
    );
    refused(
        &[0, 1, 2, 0, 0, 7, 0, 3],
        &kind("binary", "save the numbers as text, or as .npy"),
    );
}

#[test]
fn an_unclosed_quote() {
    let remedy = "the quote that opens here is not closed on its line; close or remove it";
    let text = format!("{}1.5,\"2.5\n{}", rows(2, ","), rows(2, ","));
    refused(text.as_bytes(), &format!("d.csv, row 21, field 2: {remedy}"));
    let text = format!("{}1.5,\"2.5", rows(2, ","));
    refused(text.as_bytes(), &format!("d.csv, row 21, field 2: {remedy}"));
}

#[test]
fn semicolons_are_read_and_decimal_commas_refused() {
    silent(
        format!("a;b\n{}", rows(2, ";")).as_bytes(),
        "",
        "d.csv: 20 rows and 2 columns named by a header, continuous; 18 rows to train on, 0 for validation, 2 held \
         back for the test",
    );
    refused(
        format!("a;b\n{}", rows(2, ";").replace('.', ",")).as_bytes(),
        "d.csv, row 2, field 1 (\"a\"): \"0,370\" has a decimal comma; write it with a point (pandas: `read_csv(…, \
         sep=\";\", decimal=\",\")`, then `to_csv`)",
    );
}

#[test]
fn labels_among_the_values() {
    let labeled = |header: &str, labels: [&str; 2]| {
        let rows = rows(3, ",");
        let lines = rows
            .lines()
            .enumerate()
            .map(|(row, line)| format!("{line},{}\n", labels[row % 2]));
        format!("{header}{}", lines.collect::<String>())
    };
    refused(
        labeled("a,b,c,kind\n", ["cat", "dog"]).as_bytes(),
        "d.csv, row 2, field 4 (\"kind\"): \"cat\" is not a number; write plain numbers separated by commas (a header \
         is a first row without any number), or name a column of labels with `label_column`",
    );
    let remedy = "it looks like a label and is learned as a value; set";
    warned(
        labeled("a,b,c,target\n", ["0", "1"]).as_bytes(),
        "",
        &format!(
            "d.csv, field 4 (\"target\"): {remedy} `label_column = \"target\"`, or `label_column = \"none\"` if it is a value"
        ),
    );
    warned(
        labeled("", ["0", "1"]).as_bytes(),
        "",
        &format!("d.csv, field 4: {remedy} `label_column = 4`, or `label_column = \"none\"` if it is a value"),
    );
    silent(
        labeled("", ["0", "1"]).as_bytes(),
        "label_column = \"none\"",
        "d.csv: 20 rows and 4 columns without a header, continuous; 18 rows to train on, 0 for validation, 2 held \
         back for the test",
    );
}

#[test]
fn values_that_differ_by_too_little() {
    let stamps = |step: f64| -> String {
        // Twice each, so that the lowest is among the training rows.
        let value = |row: i32| 1_700_000_000.0 + step * f64::from(row % 10);
        (0..20).map(|row| format!("{}\n", value(row))).collect()
    };
    refused(
        stamps(1.0).as_bytes(),
        "d.csv, field 1: around 1700000000 the values differ by less than 32-bit floats can tell; subtract a constant \
         first, such as 1700000000",
    );
    warned(
        stamps(10_000.0).as_bytes(),
        "",
        "d.csv, field 1: 32-bit floats tell few of the values around 1700000000 apart; subtract a constant first, such \
         as 1700000000",
    );
}

#[test]
fn whole_numbers_without_levels() {
    let bits: String = (0..20)
        .map(|row| format!("{},{}\n", row * 7 % 5 % 2, row % 2))
        .collect();
    warned(
        bits.as_bytes(),
        "",
        "d.csv: every value is a whole number from 0 to 1 and is learned as continuous; set `levels = 2` for discretized \
         data",
    );
}
