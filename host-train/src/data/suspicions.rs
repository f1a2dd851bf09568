//! Columns and rows of numbers that are probably something else: a header, an index, a label.

use super::error::DataError;
use super::options::ReadOptions;
use super::table::RawTable;

/// Columns from which on a first row that counts is a header beyond doubt.
const CERTAIN_COLUMNS: usize = 4;
/// Rows from which on a column that counts is an index.
const INDEX_ROWS: usize = 5;
/// Different values of a column that may be a label.
const LABEL_VALUES: usize = 20;
/// Names that people give to labels.
const LABEL_NAMES: [&str; 12] = [
    "target",
    "label",
    "labels",
    "class",
    "classes",
    "y",
    "species",
    "category",
    "cluster",
    "outcome",
    "diagnosis",
    "quality",
];
/// Highest level that data without `levels` is taken to have.
const HIGHEST_LEVEL: f64 = 255.0;

/// Looks for what may have been misread in the table of a file to learn from, and adds remarks to it.
///
/// * `continuous`: the data has no levels.
///
/// # Errors
///
/// If the table is misread beyond doubt.
pub(super) fn check(table: &mut RawTable, options: &ReadOptions, continuous: bool) -> Result<(), DataError> {
    check_index(table)?;
    let mut remarks = Vec::new();
    if options.label.is_none() {
        remarks.extend((0..table.dim).find_map(|column| label_remark(table, column, continuous)));
    }
    if continuous {
        remarks.extend(levels_remark(table));
    }
    table.remarks.extend(remarks);
    Ok(())
}

/// Looks for names of columns that are numbers in a file that may have a header.
///
/// # Errors
///
/// If the first row is a header beyond doubt.
pub(super) fn check_first_row(table: &mut RawTable, options: &ReadOptions) -> Result<(), DataError> {
    if table.header.is_some() || options.header.is_some() || table.dim < 2 || table.len() < 2 {
        return Ok(());
    }
    let (first, rest) = table.values.split_at(table.dim);
    let counts = counts_from(first, 0.0) || counts_from(first, 1.0);
    let is_year = |value: &f64| value.fract() == 0.0 && (1500.0..=2200.0).contains(value);
    let rises = first.windows(2).all(|pair| pair[0] < pair[1]);
    let years = rises && first.iter().all(is_year) && !rest.iter().all(is_year);
    let reason = match (counts, years) {
        (true, _) => format!("counts from {} to {}", first[0], first[table.dim - 1]),
        (_, true) => format!("holds the years {} to {}", first[0], first[table.dim - 1]),
        _ => return Ok(()),
    };
    let error = DataError::LikelyHeader {
        file: table.name(),
        reason,
    };
    // In a few columns of levels a row may count by chance.
    if table.dim >= CERTAIN_COLUMNS {
        return Err(error);
    }
    table.remarks.push(error.to_string());
    Ok(())
}

fn counts_from(values: &[f64], first: f64) -> bool {
    values
        .iter()
        .enumerate()
        .all(|(index, &value)| value == first + index as f64)
}

/// Looks for an index of the rows in the first column.
///
/// # Errors
///
/// If the column has no name, and so is an index beyond doubt.
pub(super) fn check_index(table: &mut RawTable) -> Result<(), DataError> {
    if table.dim < 2 || table.label.as_ref().is_some_and(|label| label.index == 0) {
        return Ok(());
    }
    let name = table.header.as_ref().and_then(|names| names.first());
    if name.is_some_and(|name| name.is_empty() || name == "Unnamed: 0") {
        let mut values: Vec<f64> = table.column(0).collect();
        values.sort_unstable_by(f64::total_cmp);
        let whole = values.iter().all(|value| value.fract() == 0.0);
        if whole && values.windows(2).all(|pair| pair[0] != pair[1]) {
            return Err(DataError::IndexColumn { file: table.name() });
        }
    }
    let values: Vec<f64> = table.column(0).collect();
    if values.len() >= INDEX_ROWS && (counts_from(&values, 0.0) || counts_from(&values, 1.0)) {
        let remark = format!(
            "{}, {}: it counts the rows, as an index does; set `label_column = \"first\"` to leave it out",
            table.name(),
            table.field(0)
        );
        table.remarks.push(remark);
    }
    Ok(())
}

/// Remarks on a column that is probably a label: by its name, or because it stands at an end and alone holds a few
/// whole numbers.
fn label_remark(table: &RawTable, column: usize, continuous: bool) -> Option<String> {
    let name = table.header.as_ref().and_then(|names| names.get(column));
    let named = name.is_some_and(|name| LABEL_NAMES.contains(&name.to_ascii_lowercase().as_str()));
    let at_end = column == 0 || column + 1 == table.dim;
    let alone = || {
        let others = (0..table.dim).filter(|other| *other != column);
        others.filter(|&other| !is_whole(table, other)).count() * 2 >= table.dim
    };
    let few = || {
        let count = distinct_up_to(table, column, LABEL_VALUES + 1);
        count <= LABEL_VALUES && 2 * count <= table.len()
    };
    let stands_out = || continuous && at_end && table.dim > 2 && is_whole(table, column) && few() && alone();
    if !(named || stands_out()) {
        return None;
    }
    let (field, file) = (table.field(column), table.name());
    let key = name.map_or(field.number.to_string(), |name| format!("{name:?}"));
    Some(format!(
        "{file}, {field}: it looks like a label and is learned as a value; set `label_column = {key}`, or \
         `label_column = \"none\"` if it is a value"
    ))
}

fn is_whole(table: &RawTable, column: usize) -> bool {
    table.column(column).all(|value| value.fract() == 0.0)
}

/// Number of different values of a column, counted up to `limit`.
fn distinct_up_to(table: &RawTable, column: usize, limit: usize) -> usize {
    let mut seen: Vec<f64> = Vec::new();
    for value in table.column(column) {
        if seen.len() < limit && !seen.contains(&value) {
            seen.push(value);
        }
    }
    seen.len()
}

/// Remarks on continuous data of which every value is a small whole number.
fn levels_remark(table: &RawTable) -> Option<String> {
    let is_level = |value: &f64| value.fract() == 0.0 && (0.0..=HIGHEST_LEVEL).contains(value);
    let highest = table.values.iter().copied().fold(0.0, f64::max);
    let levels = highest + 1.0;
    (table.values.iter().all(is_level) && highest >= 1.0).then(|| {
        format!(
            "{}: every value is a whole number from 0 to {highest} and is learned as continuous; set `levels = {levels}` \
             for discretized data",
            table.name()
        )
    })
}
