//! Splits that are given, as files or as arrays, and the rows of other files.

use host_train::data::{self, DataError, DataSpec, LabelColumn, RowCount, Split, ValueKind};
use npyz::WriterBuilder;
use std::path::Path;

fn load(files: &[(&str, &str)], text: &str) -> Result<Split, DataError> {
    let folder = tempfile::tempdir().unwrap();
    for (name, contents) in files {
        std::fs::write(folder.path().join(name), contents).unwrap();
    }
    data::load(&toml::from_str(text).unwrap(), folder.path())
}

/// The rows of each part as levels.
fn parts(split: &Split) -> [Vec<Vec<u16>>; 3] {
    [&split.train, &split.validation, &split.test]
        .map(|part| (0..part.len()).map(|row| part.row_levels(row).unwrap()).collect())
}

const TRAIN: (&str, &str) = ("a.csv", "x,y\n0,1\n1,2\n2,3\n");
const MORE: (&str, &str) = ("b.csv", "x,y\n3,0\n");
const VALIDATION: (&str, &str) = ("v.csv", "x,y\n3,3\n");
const TEST: (&str, &str) = ("t.csv", "x,y\n1,0\n0,2\n");

#[test]
fn files_of_a_split_stay_what_they_are() {
    let text = "train = [\"a.csv\", \"b.csv\"]\nvalidation = \"v.csv\"\ntest = \"t.csv\"\nlevels = 4";
    let split = load(&[TRAIN, MORE, VALIDATION, TEST], text).unwrap();
    let [mut train, validation, test] = parts(&split);
    train.sort();
    assert_eq!(train, [[0, 1], [1, 2], [2, 3], [3, 0]]);
    assert_eq!((validation, test), (vec![vec![3, 3]], vec![vec![1, 0], vec![0, 2]]));
    assert_eq!(split.test.columns, ["x", "y"]);
    // The place of a test row is that in its own file.
    let origin = split.test.origins[1];
    assert!(split.test.files[origin.file].ends_with("t.csv") && origin.row == 3);
    assert_eq!(
        split.reading.line,
        "a.csv, b.csv, v.csv, t.csv: 7 rows and 2 columns named by a header, 4 levels; 4 rows to train on, \
         1 for validation, 2 held back for the test"
    );
}

#[test]
fn units_come_from_the_training_file_alone() {
    let text = "train = \"a.csv\"\ntest = \"t.csv\"";
    let far = ("t.csv", "x,y\n1000.5,-2000\n");
    let kinds = [TEST, far].map(|test| load(&[TRAIN, test], text).unwrap().train.kind);
    assert_eq!(kinds[0], kinds[1]);
    let ValueKind::Continuous { mean, .. } = &kinds[0] else {
        panic!("continuous data")
    };
    assert_eq!(mean, &[1.0, 2.0]);
}

#[test]
fn parts_without_a_file_are_drawn_from_the_training_rows() {
    let text = "train = [\"a.csv\", \"b.csv\"]\ntest = \"t.csv\"\nvalidation_rows = 0.25\nlevels = 4";
    let split = load(&[TRAIN, MORE, TEST], text).unwrap();
    assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (3, 1, 2));
}

#[test]
fn fractions_count_the_rows() {
    let digits = |rows: RowCount| {
        let spec = DataSpec {
            test_rows: Some(rows),
            ..DataSpec::new("digits")
        };
        data::load(&spec, Path::new("")).unwrap().test
    };
    assert_eq!(digits(RowCount::Fraction(0.1)), digits(RowCount::Count(180)));
}

#[test]
fn a_small_file_needs_no_settings() {
    for rows in 2..=12 {
        let text: String = (0..rows)
            .map(|i| format!("{},{}\n", 0.5 + f64::from(i), i * i))
            .collect();
        let split = load(&[("d.csv", &text)], "source = \"d.csv\"");
        // Two rows leave one to train on, which has no deviation.
        match rows {
            2 => assert!(matches!(split, Err(DataError::ConstantColumn { .. }))),
            _ => assert_eq!(split.unwrap().test.len(), 1, "{rows}"),
        }
    }
}

#[test]
fn settings_that_exclude_each_other_are_named() {
    for (text, start) in [
        (
            "levels = 4",
            "`source` in the data configuration is wrong: no data is named",
        ),
        (
            "source = \"a.csv\"\ntrain = \"a.csv\"",
            "`train` in the data configuration is wrong: `source` names",
        ),
        (
            "source = \"a.csv\"\ntest = \"t.csv\"",
            "`test` in the data configuration is wrong: it belongs to a split",
        ),
        (
            "train = \"digits\"\ntest = \"t.csv\"",
            "`source` in the data configuration is wrong: \"digits\" is a built-in",
        ),
        (
            "source = [\"a.csv\", \"ecg\"]",
            "`source` in the data configuration is wrong: \"ecg\" is a built-in set",
        ),
        (
            "train = \"a.csv\"\ntest = \"t.csv\"\ntest_rows = 2",
            "`test_rows` in the data configuration is wrong: these rows",
        ),
        (
            "train = \"a.csv\"\nvalidation = \"t.csv\"\nvalidation_rows = 0.5",
            "`validation_rows` in the data configuration is wrong: these rows",
        ),
        (
            "source = \"a.csv\"\ntest_rows = 1.5",
            "`test_rows` in the data configuration is wrong: a fraction",
        ),
        (
            "source = \"a.csv\"\ntest_array = \"x\"",
            "`test_array` in the data configuration is wrong: it names an array",
        ),
        (
            "source = \"a.csv\"\ncolumns = [\"x\"]",
            "`columns` in the data configuration is wrong: it has 1 names",
        ),
        (
            "source = \"a.csv\"\nlabel_column = 0",
            "`label_column` in the data configuration is wrong: columns are",
        ),
    ] {
        let error = load(&[TRAIN, TEST], text).unwrap_err().to_string();
        assert!(error.starts_with(start), "{text}: {error}");
    }
}

#[test]
fn files_of_other_columns_are_refused() {
    let other = |contents| {
        let text = "train = \"a.csv\"\ntest = \"t.csv\"";
        load(&[TRAIN, ("t.csv", contents)], text).unwrap_err().to_string()
    };
    let error = other("y,x\n1,2\n");
    assert!(
        error.ends_with(
            "t.csv, field 1 (\"y\"): the column \"x\" is expected here; give the same columns in the same order"
        ),
        "{error}"
    );
    let error = other("1,2,3\n");
    assert!(
        error.contains("t.csv has 3 values a row where the data has 2"),
        "{error}"
    );
}

fn npz(arrays: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut writer = npyz::npz::NpzWriter::new(&mut bytes);
    for (name, values) in arrays {
        let array = writer.array::<u8>(name, Default::default()).unwrap().default_dtype();
        let mut array = array.shape(&[values.len() as u64 / 2, 2]).begin_nd().unwrap();
        array.extend(values.iter().copied()).unwrap();
        array.finish().unwrap();
    }
    drop(writer);
    bytes.into_inner()
}

#[test]
fn arrays_of_one_file_make_a_split() {
    let folder = tempfile::tempdir().unwrap();
    let arrays: [(&str, &[u8]); 4] = [
        ("a", &[0, 1, 2, 3]),
        ("b", &[3, 0]),
        ("t", &[1, 1, 2, 2]),
        ("v", &[0, 0]),
    ];
    std::fs::write(folder.path().join("d.npz"), npz(&arrays)).unwrap();
    let text = "source = \"d.npz\"\narray = [\"a\", \"b\"]\ntest_array = \"t\"\nvalidation_array = \"v\"\nlevels = 4";
    let split = data::load(&toml::from_str(text).unwrap(), folder.path()).unwrap();
    let [mut train, validation, test] = parts(&split);
    train.sort();
    assert_eq!(train, [[0, 1], [2, 3], [3, 0]]);
    assert_eq!((validation, test), (vec![vec![0, 0]], vec![vec![1, 1], vec![2, 2]]));
}

#[test]
fn labels_are_kept_by_name_and_by_place() {
    for (label, contents) in [
        ("\"kind\"", "x,kind,y\n0,cat,1\n1,dog,2\n2,cat,3\n"),
        ("2", "0,cat,1\n1,dog,2\n2,cat,3\n"),
        ("\"first\"", "cat,0,1\ndog,1,2\ncat,2,3\n"),
        ("\"last\"", "x,y,kind\n0,1,cat\n1,2,dog\n2,3,cat\n"),
    ] {
        let text = format!("source = \"d.csv\"\nlevels = 4\nlabel_column = {label}");
        let split = load(&[("d.csv", contents)], &text).unwrap();
        let train = split.train;
        for row in 0..train.len() {
            let expected = if train.row_levels(row).unwrap()[0] == 1 {
                "dog"
            } else {
                "cat"
            };
            assert_eq!(train.labels.as_ref().unwrap()[row], expected, "{label}");
        }
        assert_eq!(train.select(&[0]).labels.unwrap().len(), 1);
    }
    let digits = data::load(&DataSpec::new("digits"), Path::new("")).unwrap().train;
    assert!(digits.labels.unwrap().iter().all(|label| label.len() == 1));
}

#[test]
fn a_label_that_is_not_there_is_named() {
    for (label, end) in [
        (
            "\"sort\"",
            "d.csv has no column \"sort\": set `label_column` to one of \"x\", \"y\", or to a number from 1",
        ),
        ("3", "d.csv has 2 columns and no column 3: correct `label_column`"),
    ] {
        let text = format!("source = \"d.csv\"\nlabel_column = {label}");
        let error = load(&[("d.csv", "x,y\n0,1\n1,2\n")], &text).unwrap_err().to_string();
        assert!(error.ends_with(end), "{error}");
    }
}

#[test]
fn rows_of_another_file_may_lack_the_label() {
    let folder = tempfile::tempdir().unwrap();
    let own: DataSpec = toml::from_str("source = \"d.csv\"\nlevels = 4\nlabel_column = \"kind\"").unwrap();
    std::fs::write(folder.path().join("d.csv"), "x,y,kind\n0,1,cat\n1,2,dog\n2,3,cat\n").unwrap();
    let like = data::load(&own, folder.path()).unwrap().test;
    let read = |contents: &str, own: &DataSpec| {
        let path = folder.path().join("more.csv");
        std::fs::write(&path, contents).unwrap();
        data::load_more_rows(&path, &like, own)
    };
    let by_place = DataSpec {
        label_column: Some(LabelColumn::Last),
        ..own.clone()
    };
    for own in [&own, &by_place] {
        assert_eq!(read("x,y,kind\n3,3,cow\n", own).unwrap().0.labels.unwrap(), ["cow"]);
        let (rows, reading) = read("x,y\n3,3\n", own).unwrap();
        assert_eq!((rows.len(), rows.labels), (1, None));
        assert!(
            reading
                .line
                .ends_with("more.csv: 1 row and 2 columns named by a header, 4 levels"),
            "{reading:?}"
        );
    }
    assert!(read("y,x\n3,3\n", &own).is_err());
}
