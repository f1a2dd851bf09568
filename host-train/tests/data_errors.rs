//! Data sets that are wrong: one sentence for each fault, which names the place and the remedy.

use std::fs;
use std::io::Write;
use std::path::Path;

use host_train::data::{self, DataSpec, LabelColumn};
use npyz::WriterBuilder;

/// Returns the message for a file `name` with these bytes, without the folder, so that whole messages can be compared.
fn message(name: &str, bytes: &[u8], change: impl FnOnce(&mut DataSpec)) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(name), bytes).unwrap();
    message_in(folder.path(), name, change)
}

fn message_in(folder: &Path, name: &str, change: impl FnOnce(&mut DataSpec)) -> String {
    let mut spec = DataSpec::new(name);
    change(&mut spec);
    let error = data::load(&spec, folder).unwrap_err().to_string();
    error.replace(&format!("{}/", folder.display()), "")
}

fn as_levels(spec: &mut DataSpec) {
    spec.levels = Some(17);
}

fn npy<T: npyz::AutoSerialize + Copy>(shape: &[u64], values: &[T]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = npyz::WriteOptions::new()
        .default_dtype()
        .shape(shape)
        .writer(&mut bytes)
        .begin_nd()
        .unwrap();
    values.iter().for_each(|value| writer.push(value).unwrap());
    writer.finish().unwrap();
    bytes
}

fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut writer = npyz::npz::NpzWriter::new(&mut bytes);
    for (name, array) in arrays {
        writer
            .zip_writer()
            .start_file(format!("{name}.npy"), Default::default())
            .unwrap();
        writer.zip_writer().write_all(array).unwrap();
    }
    drop(writer);
    bytes.into_inner()
}

#[test]
fn ragged_row() {
    assert_eq!(
        message("d.csv", b"a,b,c\n1,2,3\n4,5\n", |_| ()),
        "d.csv, row 3: found 2 fields where the rows above have 3; give every row the same number of fields"
    );
}

#[test]
fn not_a_number() {
    assert_eq!(
        message("d.csv", b"hot,cold\n1,2\n\n3,warm\n", |_| ()),
        "d.csv, row 4, field 2 (\"cold\"): \"warm\" is not a number; write plain numbers separated by commas \
         (a header is a first row without any number), or name a column of labels with `label_column`"
    );
    let long = format!("1,2\n3,{}\n", "x".repeat(10_000));
    assert!(message("d.csv", long.as_bytes(), |_| ()).len() < 250);
}

#[test]
fn a_first_row_with_some_numbers_is_not_taken_for_a_header() {
    let error = message("d.csv", b"1,2x\n3,4\n5,6\n", |_| ());
    assert!(
        error.starts_with("d.csv, row 1, field 2: \"2x\" is not a number"),
        "{error}"
    );
}

#[test]
fn nan_and_infinity() {
    for text in ["NaN", "inf", "-inf", "1e300"] {
        assert_eq!(
            message("d.csv", format!("1,2\r\n3,{text}\r\n").as_bytes(), |_| ()),
            format!("d.csv, row 2, field 2: {text} is not a finite 32-bit number; replace it or remove the row")
        );
    }
    assert_eq!(
        message("d.npy", &npy(&[2, 2], &[1.0, 2.0, f64::NAN, 4.0]), |_| ()),
        "d.npy, row 2, field 1: NaN is not a finite 32-bit number; replace it or remove the row"
    );
}

#[test]
fn not_a_level() {
    for (value, fault) in [
        ("17", "is above the levels"),
        ("-1", "is below the levels"),
        ("3.5", "is not a whole number"),
    ] {
        assert_eq!(
            message("d.csv", format!("0,16\n3,{value}\n").as_bytes(), as_levels),
            format!("d.csv, row 2, field 2: {value} {fault} 0 to 16; correct the value or `levels`")
        );
    }
}

#[test]
fn empty_file() {
    for text in ["", "\n\n", "a,b\n"] {
        assert_eq!(
            message("d.csv", text.as_bytes(), |_| ()),
            "d.csv holds no values: give at least two rows of numbers"
        );
    }
    let only_label = message("d.csv", b"1\n2\n", |spec| spec.label_column = Some(LabelColumn::Last));
    assert_eq!(only_label, "d.csv holds no values: give at least two rows of numbers");
    assert_eq!(
        message("d.npy", &npy::<f32>(&[0, 4], &[]), |_| ()),
        "d.npy holds no values: give at least two rows of numbers"
    );
}

#[test]
fn wrong_dimension() {
    assert_eq!(
        message("d.csv", b"1,2,3\n4,5,6\n", |spec| spec.dim = Some(2)),
        "d.csv has 3 values a row but `dim` is 2: correct `dim`, or set a label aside with `label_column`"
    );
}

#[test]
fn wrong_element_type_and_rank() {
    let floats = npy(&[2, 2], &[1.0_f64, 2.0, 3.0, 4.0]);
    let place = floats.windows(3).position(|bytes| bytes == b"<f8").unwrap();
    let complex = [&floats[..place], b"<c8", &floats[place + 3..]].concat();
    assert_eq!(
        message("d.npy", &complex, |_| ()),
        "d.npy holds elements of type '<c8': save it as f16, f32, f64, bool or integers of 8 to 64 bits"
    );
    assert_eq!(
        message("d.npy", &npy(&[4], &[1_i32, 2, 3, 4]), |_| ()),
        "d.npy has shape [4]: reshape it to (rows, values in a row)"
    );
}

#[test]
fn missing_file_and_unknown_extension() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(
        message_in(folder.path(), "d.csv", |_| ()),
        "d.csv does not exist: set `source` to \"digits\", \"optdigits\", \"ecg\" or to a path relative to the folder of the configuration"
    );
    assert_eq!(
        message("digit", b"1", |_| ()),
        "digit has an unknown extension: give a .csv, .csv.gz, .npy or .npz file, or \"digits\", \"optdigits\" or \"ecg\""
    );
}

#[test]
fn optical_digits_have_fixed_test_rows() {
    let load = |change: fn(&mut DataSpec)| {
        let mut spec = DataSpec::new("optdigits");
        change(&mut spec);
        data::load(&spec, Path::new(".")).unwrap_err().to_string()
    };
    assert_eq!(
        load(|spec| spec.test_rows = Some(1797.into())),
        "`test_rows` in the data configuration is wrong: the test rows of this set are always the same ones; leave it out"
    );
    assert_eq!(
        load(|spec| spec.validation_rows = 3823.into()),
        "optdigits has 3823 rows, too few to hold back 3823 and keep one for training: lower `test_rows` or `validation_rows`, or add rows"
    );
}

#[test]
fn damaged_files() {
    for (name, bytes) in [
        ("d.npy", &b"not numpy"[..]),
        ("d.npz", b"not a zip"),
        ("d.csv.gz", b"not gzip"),
    ] {
        let error = message(name, bytes, |_| ());
        assert!(error.starts_with(&format!("{name} cannot be read (")), "{error}");
        assert!(
            error.ends_with("): check that the file is whole and that you may read it"),
            "{error}"
        );
    }
    let whole = npy(&[2, 2], &[1_u8, 2, 3, 4]);
    assert_eq!(
        message("d.npy", &whole[..whole.len() - 1], |_| ()),
        "d.npy cannot be read (its header promises shape [2, 2] but only 3 bytes follow): \
         check that the file is whole and that you may read it"
    );
    let truncated = [npz(&[("a", whole)]), vec![]].concat();
    let error = message("d.npz", &truncated[..truncated.len() / 2], |_| ());
    assert!(error.starts_with("d.npz cannot be read ("), "{error}");
}

#[test]
fn a_folder_is_not_a_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("d.csv")).unwrap();
    let error = message_in(folder.path(), "d.csv", |_| ());
    assert!(error.starts_with("d.csv cannot be read ("), "{error}");
}

#[test]
fn arrays_of_an_npz() {
    let two = npz(&[("train", npy(&[2, 1], &[1, 2])), ("labels", npy(&[2, 1], &[1, 2]))]);
    assert_eq!(
        message("d.npz", &two, |_| ()),
        "d.npz holds 2 arrays: set `array` to one of \"labels\", \"train\""
    );
    assert_eq!(
        message("d.npz", &two, |spec| spec.array = vec!["test".into()]),
        "d.npz has no array \"test\": set `array` to one of \"labels\", \"train\""
    );
    assert_eq!(
        message("d.npz", &npz(&[("x", npy(&[3], &[1, 2, 3]))]), |_| ()),
        "d.npz, array \"x\" has shape [3]: reshape it to (rows, values in a row)"
    );
}

#[test]
fn too_few_rows() {
    assert_eq!(
        message("d.csv", b"1,2\n", |_| ()),
        "d.csv has 1 rows, too few to hold back 1 and keep one for training: lower `test_rows` or `validation_rows`, or add rows"
    );
    assert_eq!(
        message("d.csv", b"1,2\n3,4\n", |spec| spec.test_rows = Some(2.into())),
        "d.csv has 2 rows, too few to hold back 2 and keep one for training: lower `test_rows` or `validation_rows`, or add rows"
    );
}

#[test]
fn constant_column() {
    assert_eq!(
        message("d.csv", b"t,u\n1,7\n2,7\n3,7\n", |_| ()),
        "d.csv, field 2 (\"u\"): every training row holds 7, so it cannot be scaled; remove the column"
    );
}

#[test]
fn settings() {
    for (change, start) in [
        (
            (|spec| spec.levels = Some(1)) as fn(&mut DataSpec),
            "`levels` in the data configuration is wrong: it counts",
        ),
        (
            |spec| spec.dim = Some(0),
            "`dim` in the data configuration is wrong: a row has",
        ),
        (
            |spec| spec.test_rows = Some(0.into()),
            "`test_rows` in the data configuration is wrong: evaluation needs",
        ),
        (
            |spec| spec.array = vec!["a".into()],
            "`array` in the data configuration is wrong: it names",
        ),
    ] {
        let error = message("d.csv", b"1\n2\n", change);
        assert!(error.starts_with(start), "{error}");
    }
    let unknown_key = toml::from_str::<DataSpec>("source = \"digits\"\nlevel = 17")
        .unwrap_err()
        .to_string();
    assert!(unknown_key.contains("unknown field `level`"), "{unknown_key}");
}
