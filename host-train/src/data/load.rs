//! From a specification to the rows of a split.

use std::path::Path;

use super::builtin::{self, TestPart};
use super::dataset::{Dataset, Split, ValueKind};
use super::error::DataError;
use super::label::LabelColumn;
use super::options::ReadOptions;
use super::read_report::{ReadReport, describe_split, describe_table};
use super::spec::DataSpec;
use super::split::{self, Deal};
use super::table::RawTable;
use super::{mixture, normalize, readers, spec_check, suspicions};

/// Reads, checks, splits and normalizes what `spec` names. A relative path starts at `base_dir`, the folder of the
/// configuration.
pub fn load(spec: &DataSpec, base_dir: &Path) -> Result<Split, DataError> {
    spec_check::check(spec)?;
    let builtin = spec.source.first().and_then(|name| builtin::find(name));
    let levels = spec.levels.or(builtin.and_then(|set| set.levels));
    let reader = FileReader { spec, base_dir, levels };
    let (mut table, validation, test) = match builtin {
        Some(set) => (set.read()?, None, set.read_test()?),
        None => reader.read_parts()?,
    };
    name_columns(&mut table, spec)?;
    if let Some(expected) = spec.dim
        && expected != table.dim
    {
        return Err(DataError::Dimension {
            file: table.name(),
            found: table.dim,
            expected,
        });
    }
    let default = match builtin.map(|set| &set.test) {
        Some(&TestPart::Drawn(rows)) => rows,
        _ => (table.len() / 10).max(1),
    };
    let deal = deal(spec, &mut table, (validation, test), default)?;

    let mut warnings = std::mem::take(&mut table.remarks);
    let kind = match (levels, spec.range) {
        (Some(levels), _) => normalize::levels(&table, levels)?,
        (None, Some(range)) => normalize::bounded(&table, range)?,
        (None, None) => normalize::continuous(&table, &deal.train, &mut warnings)?,
    };
    let name = title(spec);
    let dataset = |rows: &[usize]| normalize::dataset(&name, &kind, &table, rows);
    Ok(Split {
        train: dataset(&deal.train),
        validation: dataset(&deal.validation),
        test: dataset(&deal.test),
        reading: ReadReport {
            line: describe_split(&name, &table, levels, &deal),
            warnings,
        },
    })
}

/// Reads every row of the file at `path`, in the units of `like`: samples of its data set, for instance.
///
/// # Errors
///
/// If the file cannot be read, or its rows cannot be of the same data set.
pub fn load_rows(path: &Path, like: &Dataset) -> Result<Dataset, DataError> {
    // Numbers that name the columns are no row.
    let numbers = !like.columns.is_empty() && like.columns.iter().all(|name| name.parse::<f64>().is_ok());
    let own = DataSpec {
        header: numbers.then_some(true),
        ..DataSpec::default()
    };
    Ok(load_more_rows(path, like, &own)?.0)
}

/// Reads every row of the file at `path` as one more file of the data set of `like`, which `own` specifies. The
/// returned sentences say what was read. The file may lack the label.
///
/// # Errors
///
/// If the file cannot be read, or its rows cannot be of the same data set.
pub fn load_more_rows(path: &Path, like: &Dataset, own: &DataSpec) -> Result<(Dataset, ReadReport), DataError> {
    let name = path.display().to_string();
    let mut options = ReadOptions::new(own, &[]);
    if readers::holds_named_arrays(&name) {
        options.arrays = own.array.clone();
    }
    let bare = || ReadOptions {
        label: Some(LabelColumn::None),
        ..options.clone()
    };
    let mut table = match readers::read(path, &options) {
        Err(DataError::UnknownLabel { .. }) => readers::read(path, &bare())?,
        Ok(table) if table.label.is_some() && table.dim + 1 == like.dim => readers::read(path, &bare())?,
        read => read?,
    };
    if table.dim != like.dim {
        return Err(DataError::OtherWidth {
            file: table.name(),
            found: table.dim,
            expected: like.dim,
        });
    }
    if !like.columns.is_empty() {
        table.check_names(&like.columns)?;
        table.header = Some(like.columns.clone());
    }
    suspicions::check_index(&mut table)?;
    let levels = like.levels();
    if let ValueKind::Levels { levels } = like.kind {
        normalize::levels(&table, levels)?;
    }
    let reading = ReadReport {
        line: describe_table(&name, &table, levels),
        warnings: std::mem::take(&mut table.remarks),
    };
    let rows: Vec<usize> = (0..table.len()).collect();
    Ok((normalize::dataset(&name, &like.kind, &table, &rows), reading))
}

/// Reader of the files of a specification.
struct FileReader<'s> {
    spec: &'s DataSpec,
    base_dir: &'s Path,
    levels: Option<u16>,
}

/// Rows to learn from, for validation and for the test, the latter two if they have places of their own.
type Parts = (RawTable, Option<RawTable>, Option<RawTable>);

impl FileReader<'_> {
    fn read_parts(&self) -> Result<Parts, DataError> {
        let spec = self.spec;
        if let Some(mixture) = spec.source.first().and_then(|name| mixture::find(name)) {
            return Ok((mixture.read(), None, None));
        }
        let own = |files: &[String], arrays: &[String]| match (files, arrays) {
            ([], []) => Ok(None),
            ([], arrays) => self.read_files(spec.learned(), arrays, false).map(Some),
            (files, []) => self.read_files(files, &spec.array, false).map(Some),
            (files, arrays) => self.read_files(files, arrays, false).map(Some),
        };
        Ok((
            self.read_files(spec.learned(), &spec.array, true)?,
            own(&spec.validation, &spec.validation_array)?,
            own(&spec.test, &spec.test_array)?,
        ))
    }

    /// Reads files of the same columns, one after the other.
    ///
    /// * `learned`: rows to learn from; labels and levels among the others are the same.
    fn read_files(&self, files: &[String], arrays: &[String], learned: bool) -> Result<RawTable, DataError> {
        let options = ReadOptions::new(self.spec, arrays);
        let read = |file: &String| {
            let mut table = readers::read(&self.base_dir.join(file), &options)?;
            match learned {
                true => suspicions::check(&mut table, &options, self.levels.is_none())?,
                false => suspicions::check_index(&mut table)?,
            }
            Ok(table)
        };
        let mut tables = files.iter().map(read);
        let mut whole = tables.next().unwrap_or_else(|| Ok(RawTable::new("")))?;
        for table in tables {
            whole.append(table?)?;
        }
        Ok(whole)
    }
}

/// Gives the columns the names of the specification, or checks that the header has the same.
fn name_columns(table: &mut RawTable, spec: &DataSpec) -> Result<(), DataError> {
    if spec.columns.is_empty() {
        return Ok(());
    }
    if spec.columns.len() != table.dim {
        return Err(DataError::Setting {
            key: "columns",
            problem: format!(
                "it has {} names, but {} has {} values a row; give each a name",
                spec.columns.len(),
                table.name(),
                table.dim
            ),
        });
    }
    table.check_names(&spec.columns)?;
    table.header = Some(spec.columns.clone());
    Ok(())
}

/// Divides the rows of `table` by the seed, after those that have places of their own are appended to it.
///
/// * `default`: number of test rows if neither they nor their number are given.
fn deal(
    spec: &DataSpec,
    table: &mut RawTable,
    (validation, test): (Option<RawTable>, Option<RawTable>),
    default: usize,
) -> Result<Deal, DataError> {
    let pool = table.len();
    let test_rows = match test {
        Some(_) => 0,
        None => spec.test_rows.map_or(default, |rows| rows.resolve(pool)),
    };
    let validation_rows = match validation {
        Some(_) => 0,
        None => spec.validation_rows.resolve(pool),
    };
    let held_back = test_rows.saturating_add(validation_rows);
    if held_back >= pool {
        return Err(DataError::TooFewRows {
            file: table.name(),
            rows: pool,
            test_rows: held_back,
        });
    }
    let mut deal = split::deal(pool, test_rows, validation_rows, spec.split_seed);
    for (part, own) in [(&mut deal.validation, validation), (&mut deal.test, test)] {
        if let Some(own) = own {
            let first = table.len();
            table.append(own)?;
            *part = (first..table.len()).collect();
        }
    }
    Ok(deal)
}

/// Names of the files without their folders.
fn title(spec: &DataSpec) -> String {
    let short = |file: &String| {
        let name = Path::new(file).file_name();
        name.map_or(file.clone(), |name| name.display().to_string())
    };
    let mut names: Vec<String> = Vec::new();
    for file in [spec.learned(), &spec.validation, &spec.test].concat() {
        let name = short(&file);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(", ")
}
