//! The file formats: one row per extension.

use std::path::Path;

use super::error::DataError;
use super::options::ReadOptions;
use super::table::RawTable;
use super::{csv, npy};

/// A way to read the files of one extension.
struct Reader {
    /// End of the file's name, in lower case.
    extension: &'static str,
    /// True if a file holds several arrays, of which [`ReadOptions::arrays`] names some.
    named_arrays: bool,
    /// Reads a whole file.
    read: fn(&Path, &ReadOptions) -> Result<RawTable, DataError>,
}

const READERS: &[Reader] = &[
    Reader {
        extension: ".csv",
        named_arrays: false,
        read: csv::read_file,
    },
    Reader {
        extension: ".csv.gz",
        named_arrays: false,
        read: csv::read_compressed_file,
    },
    Reader {
        extension: ".npy",
        named_arrays: false,
        read: npy::read_npy,
    },
    Reader {
        extension: ".npz",
        named_arrays: true,
        read: npy::read_npz,
    },
];

/// Returns the extensions of all readable files, each with its dot.
fn extensions() -> impl Iterator<Item = &'static str> {
    READERS.iter().map(|reader| reader.extension)
}

/// Reads the file at `path` with the reader for its extension.
pub(super) fn read(path: &Path, options: &ReadOptions) -> Result<RawTable, DataError> {
    let file = path.display().to_string();
    match find(&file) {
        Some(reader) => (reader.read)(path, options),
        None => Err(DataError::UnknownFormat {
            file,
            known: extensions().collect(),
        }),
    }
}

/// Returns whether `source` is a file whose arrays have names.
pub(super) fn holds_named_arrays(source: &str) -> bool {
    find(source).is_some_and(|reader| reader.named_arrays)
}

fn find(file: &str) -> Option<&'static Reader> {
    let lower = file.to_ascii_lowercase();
    READERS.iter().find(|reader| lower.ends_with(reader.extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of each listed extension reaches the reader of its own row.
    #[test]
    fn every_row_is_in_the_error_and_is_found() {
        let error = read(Path::new("d.xls"), &ReadOptions::default())
            .unwrap_err()
            .to_string();
        for reader in READERS {
            assert!(error.contains(reader.extension), "{error}");
            let name = format!("D{}", reader.extension.to_ascii_uppercase());
            assert_eq!(find(&name).map(|found| found.extension), Some(reader.extension));
            let missing = read(Path::new(&name), &ReadOptions::default()).unwrap_err();
            assert!(matches!(missing, DataError::Missing { .. }), "{missing}");
        }
        assert!(
            holds_named_arrays("windows.npz") && !holds_named_arrays("windows.npy") && !holds_named_arrays("digits")
        );
    }
}
