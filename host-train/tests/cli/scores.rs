//! Scores per row, of any file, from any folder.

use crate::common;
use crate::support::{fails, json, ok};
use std::path::Path;

/// A folder with a run on named columns with a label, and a model file of it in another folder.
fn labeled() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for name in ["configs", "data", "models"] {
        std::fs::create_dir(root.join(name)).unwrap();
    }
    let rows = common::data_text();
    let lines = rows
        .lines()
        .enumerate()
        .map(|(row, line)| format!("{line},{}\n", ["left", "right"][row % 2]));
    let text = format!("a,b,c,d,side\n{}", lines.collect::<String>());
    std::fs::write(root.join("data/all.csv"), text).unwrap();
    let config = common::config_text("../data/all.csv").replace(
        "levels = 5",
        "levels = 5\nlabel_column = \"side\"\nvalidation_rows = 0.1\ntest_rows = 0.2",
    );
    std::fs::write(root.join("configs/tiny.toml"), config).unwrap();
    ok(root, &["train", "configs/tiny.toml", "--out", "run"]);
    ok(root, &["export", "run", "--format", "f32", "--out", "models/tiny.vdm"]);
    folder
}

/// The header and the rows of a table.
fn table(path: &Path) -> (Vec<String>, Vec<Vec<String>>) {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let header = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let rows = reader
        .records()
        .map(|row| row.unwrap().iter().map(str::to_owned).collect());
    (header, rows.collect())
}

#[test]
fn a_row_has_its_place_its_label_its_terms_and_its_dimensions() {
    let folder = labeled();
    let root = folder.path();
    let score = json(root, &["evaluate", "models/tiny.vdm", "--scores", "s.csv", "--json"]);
    // The scores change nothing about the result.
    assert_eq!(score, json(root, &["evaluate", "models/tiny.vdm", "--json"]));
    let (header, rows) = table(&root.join("s.csv"));
    let names = ["row", "label", "total", "reconstruction", "prior", "diffusion"];
    assert_eq!(header[..6], names);
    assert_eq!(header[6..], ["nats a", "nats b", "nats c", "nats d"]);
    assert_eq!(rows.len(), 12);
    let all = common::data_text();
    let mut sum = 0.0;
    for row in &rows {
        // The header is line 1, so row 2 is the first of the data, which is labeled `left`.
        let line: usize = row[0].parse().unwrap();
        assert_eq!(row[1], ["left", "right"][line % 2]);
        assert!(line >= 2 && line < 2 + all.lines().count());
        let numbers: Vec<f64> = row[2..].iter().map(|text| text.parse().unwrap()).collect();
        let (total, terms) = (numbers[0], numbers[1..4].iter().sum::<f64>());
        let dimensions: f64 = numbers[4..].iter().sum();
        assert!(
            (total - terms).abs() < 1e-9 && (total - dimensions).abs() < 1e-4,
            "{row:?}"
        );
        sum += total;
    }
    let bits = sum / 12.0 / 4.0 / std::f64::consts::LN_2;
    assert!((bits - score["bits_per_dim"].as_f64().unwrap()).abs() < 1e-9);
}

#[test]
fn every_part_and_every_file_is_scored_by_every_kind_of_model() {
    let folder = labeled();
    let root = folder.path();
    std::fs::write(root.join("other.csv"), "a,b,c,d\n0,4,0,4\n1,3,1,3\n4,0,4,0\n").unwrap();
    for model in ["run", "run/weights.safetensors", "models/tiny.vdm"] {
        for (part, rows) in [("train", 42), ("validation", 6), ("test", 12)] {
            assert_eq!(json(root, &["evaluate", model, "--rows", part, "--json"])["rows"], rows);
        }
        let all = json(root, &["evaluate", model, "--data", "data/all.csv", "--json"]);
        let other = json(
            root,
            &["evaluate", model, "--data", "other.csv", "--scores", "o.csv", "--json"],
        );
        assert_eq!((&all["rows"], &other["rows"]), (&60.into(), &3.into()));
        assert_eq!(table(&root.join("o.csv")).0[1], "total");
    }
    std::fs::write(root.join("short.csv"), "0,4,0\n").unwrap();
    let error = fails(root, &["evaluate", "run", "--data", "short.csv"]);
    assert!(
        error.contains("short.csv has 3 values a row where the data has 4"),
        "{error}"
    );
    std::fs::write(root.join("high.csv"), "0,4,0,5\n").unwrap();
    let error = fails(root, &["evaluate", "run", "--data", "high.csv"]);
    assert!(
        error.contains("high.csv, row 1, field 4 (\"d\"): 5 is above the levels 0 to 4"),
        "{error}"
    );
}

#[test]
fn paths_mean_the_same_from_every_folder() {
    let folder = labeled();
    let root = folder.path();
    std::fs::create_dir_all(root.join("deep/er")).unwrap();
    let here = json(root, &["evaluate", "models/tiny.vdm", "--json"]);
    let there = json(&root.join("deep/er"), &["evaluate", "../../models/tiny.vdm", "--json"]);
    assert_eq!(here["bits_per_dim"], there["bits_per_dim"]);
    ok(&root.join("deep"), &["evaluate", "../run"]);
    ok(
        &root.join("models"),
        &[
            "train",
            "../configs/tiny.toml",
            "--out",
            "../run",
            "--resume",
            "--steps",
            "45",
        ],
    );
    // The model file names its data by the way from its own folder, not by a place on this machine.
    let bytes = std::fs::read(root.join("models/tiny.vdm")).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("source = \"../data/all.csv\"") && text.contains("columns = [\"a\", \"b\", \"c\", \"d\"]"));
    assert!(!text.contains(&*root.to_string_lossy()));
    // A project that is moved as a whole still works.
    let moved = tempfile::tempdir().unwrap();
    let new = moved.path().join("project");
    std::fs::rename(root, &new).unwrap();
    for model in ["run", "models/tiny.vdm"] {
        ok(&new, &["evaluate", model]);
    }
    std::fs::rename(&new, root).unwrap();
}

#[test]
fn columns_come_back_in_samples() {
    let folder = labeled();
    let root = folder.path();
    ok(root, &["sample", "models/tiny.vdm", "--count", "5", "--out", "x.csv"]);
    ok(root, &["rows", "models/tiny.vdm", "--part", "test", "--out", "y.csv"]);
    for (file, rows) in [("x.csv", 5), ("y.csv", 12)] {
        let (header, found) = table(&root.join(file));
        assert_eq!(header, ["a", "b", "c", "d"], "{file}");
        assert_eq!(found.len(), rows);
        // Levels are written as whole numbers.
        assert!(
            found.iter().flatten().all(|level| level.parse::<u8>().is_ok()),
            "{found:?}"
        );
    }
    ok(root, &["distance", "x.csv", "y.csv", "--model", "models/tiny.vdm"]);
}
