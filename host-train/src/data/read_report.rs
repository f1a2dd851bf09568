//! Sentences about the reading of a data set, so that nothing is misread in silence.

use super::split::Deal;
use super::table::RawTable;

/// Sentences about the reading of a data set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadReport {
    /// Line that says what was read.
    pub line: String,
    /// Remarks on what may have been misread, each with its remedy.
    pub warnings: Vec<String>,
}

/// Returns the line about a table and the parts that its rows are dealt into.
pub(super) fn describe_split(name: &str, table: &RawTable, levels: Option<u16>, deal: &Deal) -> String {
    format!(
        "{}; {} to train on, {} for validation, {} held back for the test",
        describe_table(name, table, levels),
        count(deal.train.len(), "row"),
        deal.validation.len(),
        deal.test.len()
    )
}

/// Returns the line about a table: rows, columns, header, kind and label.
pub(super) fn describe_table(name: &str, table: &RawTable, levels: Option<u16>) -> String {
    let header = match table.header {
        Some(_) => "named by a header",
        None => "without a header",
    };
    let kind = levels.map_or("continuous".to_owned(), |levels| format!("{levels} levels"));
    format!(
        "{name}: {} and {} {header}, {kind}{}",
        count(table.len(), "row"),
        count(table.dim, "column"),
        describe_label(table)
    )
}

fn describe_label(table: &RawTable) -> String {
    let Some(label) = &table.label else {
        return String::new();
    };
    let mut texts: Vec<&String> = label.texts.iter().collect();
    texts.sort_unstable();
    texts.dedup();
    let name = match &label.name {
        Some(name) => format!("column {} ({name:?})", label.index + 1),
        None => format!("column {}", label.index + 1),
    };
    format!(", {name} set aside as a label of {}", count(texts.len(), "value"))
}

/// Returns a number and the noun that it counts.
fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
