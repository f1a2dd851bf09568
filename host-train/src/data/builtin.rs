//! The built-in sets: part of the program, so that it runs from any folder. `data/README.md` names their sources.

use flate2::read::GzDecoder;

use super::csv;
use super::error::DataError;
use super::spec::LabelColumn;
use super::table::RawTable;

/// Width and height of an image of `digits`, in pixels.
pub const DIGITS_SIDE: usize = 8;

/// One built-in set.
pub(super) struct Builtin {
    /// Name in a configuration.
    pub name: &'static str,
    /// Number of levels; `None` for continuous data.
    pub levels: Option<u16>,
    /// Rows held back for evaluation unless the configuration says otherwise.
    pub test_rows: usize,
    label: LabelColumn,
    file: &'static [u8],
}

const ALL: &[Builtin] = &[
    // 1,797 handwritten digits of 8×8 pixels with 17 gray levels: 0 (paper) to 16 (ink). 1,500 of them are for
    // training.
    Builtin {
        name: "digits",
        levels: Some(17),
        test_rows: 297,
        label: LabelColumn::Last,
        file: include_bytes!("../../../data/digits.csv.gz"),
    },
    // 1,687 windows of 32 samples of an electrocardiogram at 180 Hz, in mV. 1,400 of them are for training.
    Builtin {
        name: "ecg",
        levels: None,
        test_rows: 287,
        label: LabelColumn::None,
        file: include_bytes!("../../../data/ecg.csv.gz"),
    },
];

/// Returns the set of that name.
pub(super) fn find(name: &str) -> Option<&'static Builtin> {
    ALL.iter().find(|set| set.name == name)
}

impl Builtin {
    /// Reads the rows without their labels, in the file's order.
    pub(super) fn read(&self) -> Result<RawTable, DataError> {
        csv::read(self.name, GzDecoder::new(self.file), self.label)
    }
}
