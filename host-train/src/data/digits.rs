//! The built-in set: 1,797 handwritten digits of 8×8 pixels with 17 grey levels.

use flate2::read::GzDecoder;

use super::csv;
use super::error::DataError;
use super::spec::LabelColumn;
use super::table::Table;

/// What a configuration calls the built-in set.
pub const NAME: &str = "digits";
/// Grey levels: 0 (paper) to 16 (ink).
pub const LEVELS: u16 = 17;
/// Rows held back for evaluation unless the configuration says otherwise; 1,500 remain.
pub const TEST_ROWS: usize = 297;
/// Width and height of an image, in pixels.
pub const SIDE: usize = 8;

/// Part of the program, so that it runs from any folder. `data/README.md` tells where the digits come from.
const FILE: &[u8] = include_bytes!("../../../data/digits.csv.gz");

/// The images without their labels, in the file's order.
pub(super) fn read() -> Result<Table, DataError> {
    csv::read(NAME, GzDecoder::new(FILE), LabelColumn::Last)
}
