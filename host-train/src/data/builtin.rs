//! The built-in sets: part of the program, so that it runs from any folder. `data/README.md` names their sources.

use flate2::read::GzDecoder;

use super::csv;
use super::error::DataError;
use super::label::LabelColumn;
use super::options::ReadOptions;
use super::table::RawTable;

/// Width and height of an image of `digits`, in pixels.
pub const DIGITS_SIDE: usize = 8;

/// One built-in set.
pub(super) struct Builtin {
    /// Name in a configuration.
    pub name: &'static str,
    /// Number of levels; `None` for continuous data.
    pub levels: Option<u16>,
    /// Rows held back for evaluation.
    pub test: TestPart,
    label: LabelColumn,
    file: &'static [u8],
}

/// Rows that a built-in set holds back for evaluation.
pub(super) enum TestPart {
    /// Number of rows, drawn by the split's seed, unless the configuration says otherwise.
    Drawn(usize),
    /// The rows of a file of their own, always the same.
    File(&'static [u8]),
}

const DIGITS: &[u8] = include_bytes!("../../../data/digits.csv.gz");

const ALL: &[Builtin] = &[
    // 1,797 handwritten digits of 8×8 pixels with 17 gray levels: 0 (paper) to 16 (ink). 1,500 of them are for
    // training.
    Builtin {
        name: "digits",
        levels: Some(17),
        test: TestPart::Drawn(297),
        label: LabelColumn::Last,
        file: DIGITS,
    },
    // All 5,620 digits of the same repository, split by writer: 3,823 for training and those of `digits` for the test.
    Builtin {
        name: "optdigits",
        levels: Some(17),
        test: TestPart::File(DIGITS),
        label: LabelColumn::Last,
        file: include_bytes!("../../../data/optdigits-train.csv.gz"),
    },
    // 1,687 windows of 32 samples of an electrocardiogram at 180 Hz, in mV. 1,400 of them are for training.
    Builtin {
        name: "ecg",
        levels: None,
        test: TestPart::Drawn(287),
        label: LabelColumn::None,
        file: include_bytes!("../../../data/ecg.csv.gz"),
    },
];

/// Returns the set of that name.
pub(super) fn find(name: &str) -> Option<&'static Builtin> {
    ALL.iter().find(|set| set.name == name)
}

impl Builtin {
    /// Reads the rows in the file's order. Test rows with a file of their own are not among them.
    pub(super) fn read(&self) -> Result<RawTable, DataError> {
        self.read_file(self.file)
    }

    /// Reads the test rows if they have a file of their own.
    pub(super) fn read_test(&self) -> Result<Option<RawTable>, DataError> {
        match self.test {
            TestPart::Drawn(_) => Ok(None),
            TestPart::File(file) => self.read_file(file).map(Some),
        }
    }

    fn read_file(&self, file: &[u8]) -> Result<RawTable, DataError> {
        let options = ReadOptions {
            label: Some(self.label.clone()),
            ..ReadOptions::default()
        };
        csv::read(self.name, GzDecoder::new(file), &options)
    }
}
