//! Rows of the data as files, and distances from files to the data.

use crate::support::{fails, json, ok, trained};
use std::collections::HashSet;

fn lines(text: &str) -> Vec<Vec<f32>> {
    let row = |line: &str| line.split(',').map(|value| value.parse().unwrap()).collect();
    text.lines().map(row).collect()
}

#[test]
fn the_parts_are_written_in_the_units_of_the_file() {
    let folder = trained();
    let at = folder.path();
    ok(at, &["export", "run", "--format", "f32", "--out", "m.vdm"]);
    let read = |name: &str| lines(&std::fs::read_to_string(at.join(name)).unwrap());
    let told = json(
        at,
        &["rows", "m.vdm", "--part", "train", "--out", "train.csv", "--json"],
    );
    assert_eq!((told["rows"].as_u64(), told["dim"].as_u64()), (Some(54), Some(4)));
    ok(
        at,
        &["rows", "--config", "tiny.toml", "--part", "test", "--out", "test.csv"],
    );
    let (mut dealt, mut file) = ([read("train.csv"), read("test.csv")].concat(), read("data.csv"));
    assert_eq!(read("test.csv").len(), 6);
    for rows in [&mut dealt, &mut file] {
        rows.sort_by(|a, b| a.partial_cmp(b).unwrap());
    }
    assert_eq!(dealt, file);

    let error = fails(at, &["rows", "m.vdm", "--part", "validation", "--out", "v.csv"]);
    assert!(error.contains("set `validation_rows`"), "{error}");
    assert!(!at.join("v.csv").exists());
}

#[test]
fn validation_rows_are_no_training_rows() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/digits.toml");
    let part = |part: &str| {
        let out = format!("{part}.csv");
        ok(at, &["rows", "--config", config, "--part", part, "--out", &out]);
        let text = std::fs::read_to_string(at.join(out)).unwrap();
        text.lines().map(str::to_owned).collect::<HashSet<String>>()
    };
    let parts = ["train", "validation", "test"].map(part);
    assert_eq!(parts.each_ref().map(HashSet::len), [1300, 200, 297]);
    assert_eq!(parts.iter().flatten().collect::<HashSet<_>>().len(), 1797);
}

/// The data itself is nearer to the data than samples without any pattern.
#[test]
fn distances_are_measured_from_files() {
    let folder = trained();
    let at = folder.path();
    ok(at, &["export", "run", "--format", "f32", "--out", "m.vdm"]);
    ok(at, &["rows", "m.vdm", "--part", "train", "--out", "train.csv"]);
    ok(at, &["sample", "m.vdm", "--count", "40", "--out", "samples.npy"]);
    std::fs::write(at.join("gray.csv"), "2,2,2,2\n".repeat(20)).unwrap();
    let files = ["train.csv", "samples.npy", "gray.csv"];
    let list = json(at, &[&["distance", "--model", "m.vdm", "--json"][..], &files].concat());
    let number = |index: usize, key: &str| list[index][key].as_f64().unwrap();
    assert_eq!(
        (number(0, "rows"), number(1, "rows"), number(2, "rows")),
        (54.0, 40.0, 20.0)
    );
    for key in ["held_out", "all"] {
        assert!(number(0, key).abs() < 0.5, "{list}");
        assert!(number(2, key) > 1.0 && number(0, key) < number(1, key), "{list}");
    }
    let text = ok(at, &["distance", "--config", "tiny.toml", "train.csv"]);
    assert!(text.contains(&format!("{:.5}", number(0, "held_out"))), "{text}");

    std::fs::write(at.join("one.csv"), "2,2,2,2\n").unwrap();
    let error = fails(at, &["distance", "--model", "m.vdm", "one.csv"]);
    assert!(error.contains("one.csv has one row"), "{error}");
}
