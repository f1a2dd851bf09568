//! A sweep as a person runs it: all of it, in parts, after it was broken off, and with a run that fails.

mod common;

use assert_cmd::Command;
use safetensors::SafeTensors;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Output;

fn sweep(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::cargo_bin("host-train").unwrap();
    command
        .current_dir(folder)
        .arg("sweep")
        .arg("sweep.toml")
        .args(["--out", "runs"]);
    command.args(arguments).output().unwrap()
}

fn laid_out(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    common::files(folder.path());
    std::fs::write(
        folder.path().join("sweep.toml"),
        format!("base = \"tiny.toml\"\n{text}"),
    )
    .unwrap();
    folder
}

fn table(folder: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(folder.join("runs/results.csv")).unwrap();
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(text.as_bytes());
    let rows = reader.records().map(|r| r.unwrap().iter().map(str::to_owned).collect());
    rows.collect()
}

fn last_line(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr)
        .trim_end()
        .lines()
        .last()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn every_run_is_a_row_and_is_made_once() {
    let folder = laid_out("[grid]\nseed = [1, 2]\n\"train.batch\" = [16]\n");
    let at = folder.path();
    let listed = sweep(at, &["--dry-run"]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("001: seed = 2, train.batch = 16"));
    assert!(!at.join("runs").exists());

    // The second half alone, then the rest.
    assert!(sweep(at, &["--part", "2/2"]).status.success());
    let rows = table(at);
    assert_eq!(
        rows[0].join(","),
        "run,seed,train.batch,state,steps,validation,bits_per_dim,reconstruction,prior,diffusion"
    );
    assert_eq!(rows[1][..5].join(","), "000,1,16,waiting,");
    assert_eq!(rows[2][..5].join(","), "001,2,16,done,40");
    let output = sweep(at, &["--jobs", "2"]);
    assert!(output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.contains("data.csv: 60 rows and 4 columns without a header, 5 levels; "),
        "{error}"
    );
    let whole = table(at);
    assert_eq!(whole[1][3], "done");
    assert_eq!(whole[2], rows[2]);

    // A run broken off after its last checkpoint ends where it would have ended.
    std::fs::remove_file(at.join("runs/000/result.json")).unwrap();
    assert!(sweep(at, &[]).status.success());
    assert_eq!(table(at), whole);

    // Another sweep does not mix with it.
    std::fs::write(at.join("sweep.toml"), "base = \"tiny.toml\"\n[grid]\nseed = [5, 2]\n").unwrap();
    let output = sweep(at, &[]);
    assert!(!output.status.success());
    assert!(
        last_line(&output).contains("another --out folder"),
        "{}",
        last_line(&output)
    );
}

#[test]
fn validation_rows_choose_the_best_run() {
    let grid = "[grid]\n\"data.validation_rows\" = [12]\n\"train.learning_rate\" = [1e-5, 1e-2]\n";
    let folder = laid_out(grid);
    let output = sweep(folder.path(), &[]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let expected = "best on the validation rows: 001: data.validation_rows = 12, train.learning_rate = 0.01, ELBO ";
    assert!(said.contains(expected), "{said}");
    let rows = table(folder.path());
    let validation = |row: usize| rows[row][5].parse::<f64>().unwrap();
    assert!(validation(2) < validation(1), "{rows:?}");
    // Nothing is chosen by held-out rows.
    let folder = laid_out("[grid]\nseed = [1, 2]\n");
    let output = sweep(folder.path(), &[]);
    assert!(!String::from_utf8_lossy(&output.stdout).contains("best"));
    assert_eq!(table(folder.path())[1][4], "");
}

/// Every tensor of a checkpoint, and what else it says, but the configuration's order.
fn contents(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let bytes = std::fs::read(path).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().clone().unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let named = tensors
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, view.data().to_vec()));
    let said = metadata.into_iter().map(|(key, value)| (key, value.into_bytes()));
    named.chain(said).collect()
}

#[test]
fn models_trained_together_are_those_trained_alone() {
    let grid = "[grid]\nseed = [1, 2]\n\"model.hidden\" = [[8], [16, 16]]\n\"train.generator\" = [\"sequential\", \"counter\"]\n";
    let folder = laid_out(grid);
    let at = folder.path();
    assert!(sweep(at, &["--jobs", "1"]).status.success());
    std::fs::rename(at.join("runs"), at.join("alone")).unwrap();
    assert!(sweep(at, &["--together", "3"]).status.success());
    let mut different = BTreeSet::new();
    for run in 0..8 {
        for file in ["checkpoint.safetensors", "weights.safetensors"] {
            let name = format!("{run:03}/{file}");
            let (alone, together) = (
                contents(&at.join("alone").join(&name)),
                contents(&at.join("runs").join(&name)),
            );
            assert!(alone == together, "{name} differs");
            different.insert(together["layer0.weight"].clone());
        }
        let losses = |runs: &str| std::fs::read(at.join(runs).join(format!("{run:03}/losses.csv"))).unwrap();
        assert_eq!(losses("alone"), losses("runs"));
    }
    assert_eq!(different.len(), 16, "the configurations should train different weights");
    let rows = |runs: &str| std::fs::read_to_string(at.join(runs).join("results.csv")).unwrap();
    assert_eq!(rows("alone"), rows("runs"));
}

#[test]
fn a_run_that_fails_beside_others_is_named_and_they_go_on() {
    let folder = laid_out("[grid]\n\"data.levels\" = [3, 5]\n");
    let at = folder.path();
    let output = sweep(at, &["--together", "2"]);
    assert_eq!(output.status.code(), Some(1));
    let rows = table(at);
    assert_eq!((rows[1][2].as_str(), rows[2][2].as_str()), ("failed", "done"));
    let said = std::fs::read_to_string(at.join("runs/000/error.txt")).unwrap();
    assert!(said.starts_with("error: ") && said.lines().count() == 1, "{said}");
}

#[test]
fn a_run_that_fails_is_named_and_the_others_go_on() {
    let folder = laid_out("[grid]\n\"data.levels\" = [3, 5]\n");
    let at = folder.path();
    let output = sweep(at, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        last_line(&output).contains("1 of 2 runs failed"),
        "{}",
        last_line(&output)
    );
    let rows = table(at);
    assert_eq!((rows[1][2].as_str(), rows[2][2].as_str()), ("failed", "done"));
    assert!(
        std::fs::read_to_string(at.join("runs/000/error.txt"))
            .unwrap()
            .contains("error: ")
    );
}
