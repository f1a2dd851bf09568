//! Numbers of rows in a configuration.

use serde::{Deserialize, Serialize};

/// A number of rows, or a fraction of all.
///
/// ```
/// # use host_train::data::RowCount;
/// assert_eq!(RowCount::Fraction(0.1).resolve(178), 18);
/// assert_eq!(RowCount::Fraction(0.01).resolve(12), 1); // a fraction is at least a row
/// assert_eq!(RowCount::from(20).resolve(178), 20);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "a whole number of rows, or a fraction between 0 and 1, is needed"
)]
pub enum RowCount {
    /// The number itself.
    Count(usize),
    /// Share of all rows, above 0 and below 1.
    Fraction(f64),
}

impl RowCount {
    /// Returns the number among `rows` rows.
    pub fn resolve(self, rows: usize) -> usize {
        match self {
            RowCount::Count(count) => count,
            RowCount::Fraction(share) => ((share * rows as f64).round() as usize).max(1),
        }
    }

    /// Returns whether a fraction is one: above 0 and below 1.
    pub(super) fn is_possible(self) -> bool {
        match self {
            RowCount::Count(_) => true,
            RowCount::Fraction(share) => share > 0.0 && share < 1.0,
        }
    }
}

impl Default for RowCount {
    fn default() -> Self {
        Self::Count(0)
    }
}

impl From<usize> for RowCount {
    fn from(count: usize) -> Self {
        Self::Count(count)
    }
}
