//! Progress of long commands where there is no terminal.

use crate::support::{ok, program, trained};
use std::path::Path;

/// Runs a command that reports every advance; returns the lines on standard error and standard output.
fn reported(folder: &Path, arguments: &[&str]) -> (Vec<String>, String) {
    let output = program(folder)
        .args(arguments)
        .env("HOST_TRAIN_PROGRESS_SECONDS", "0")
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {error}");
    let lines = error.lines().map(str::to_owned).collect();
    (lines, String::from_utf8(output.stdout).unwrap())
}

/// Checks the least number of lines on standard error, words that begin some of them, and the end of the last.
fn check_progress(folder: &Path, command: &str, least: usize, titles: &[&str]) {
    let arguments: Vec<&str> = command.split_whitespace().collect();
    let (lines, _) = reported(folder, &arguments);
    let progress = lines.iter().filter(|line| line.contains(": ")).count();
    assert!(
        progress >= least,
        "{command}: {progress} lines, not {least}: {lines:#?}"
    );
    for title in titles {
        assert!(
            lines.iter().any(|line| line.starts_with(title)),
            "{command}: {title}: {lines:#?}"
        );
    }
    // Remarks about a model file follow.
    let last = lines.iter().rfind(|line| !line.starts_with("warning: ")).unwrap();
    assert!(last.ends_with("(done)"), "{command}: the last line is {last:?}");
}

/// `export` is not among them: its calibration is not counted, and short here.
#[test]
fn commands_that_count_their_work_say_where_they_are() {
    let folder = trained();
    let at = folder.path();
    ok(at, &["export", "run", "--format", "f32", "--out", "m.vdm"]);
    std::fs::write(at.join("sweep.toml"), "base = \"tiny.toml\"\n[grid]\nseed = [1, 2]\n").unwrap();
    let choose = "choose-steps run --grid 41 --draws 2 --chain-steps 2,4";
    let bench = "bench --widths 4 --batches 8 --activations relu --threads 1 --rounds 1 --seconds 0.01 --python none";
    // Command, least number of lines, words that begin some of them.
    let commands: [(&str, usize, &[&str]); 13] = [
        (choose, 41, &["measuring errors over gamma: ", "choosing steps: "]),
        (
            "train tiny.toml --from run --out few",
            41,
            &["measuring errors over gamma: ", "training"],
        ),
        (
            "quantize run --format w8a8 --finetune --steps 20 --out q.vdm",
            20,
            &["fine-tuning w8a8: "],
        ),
        (
            "loss-variance run --draws 4 --batches 4",
            48,
            &["measuring cosine gamma, "],
        ),
        ("evaluate m.vdm", 6, &["scoring m.vdm: "]),
        ("sample m.vdm --count 20 --out s.csv", 20, &["sampling m.vdm: "]),
        (
            "compare m.vdm --samples 20",
            26,
            &["scoring m.vdm: ", "sampling m.vdm: "],
        ),
        (
            "distance --model m.vdm s.csv s.csv",
            2,
            &["measuring the energy distance: "],
        ),
        (
            "distill run --chain-steps 2 --updates 5 --out students",
            10,
            &["student of 2 steps: "],
        ),
        (
            "report run --models m.vdm",
            106,
            &["scoring m.vdm: ", "sampling m.vdm: "],
        ),
        (bench, 1, &["width 4"]),
        ("sweep sweep.toml", 2, &["training the runs: "]),
        (
            "fit tiny.toml --out fit",
            100,
            &["training: ", "scoring fit/tiny-f32.vdm: "],
        ),
    ];
    for (command, least, titles) in commands {
        check_progress(at, command, least, titles);
    }
}

/// Progress goes to standard error; `--quiet` leaves it out, and nothing else changes.
#[test]
fn progress_can_be_left_out_and_is_never_on_standard_output() {
    let folder = trained();
    let at = folder.path();
    let choose = [
        "choose-steps",
        "run",
        "--grid",
        "41",
        "--draws",
        "2",
        "--chain-steps",
        "2",
        "--json",
    ];
    let (lines, shown) = reported(at, &choose);
    assert!(lines.len() >= 41);
    let (lines, hidden) = reported(at, &[&choose[..], &["--quiet"]].concat());
    assert!(lines.is_empty(), "{lines:#?}");
    assert_eq!(shown, hidden);
    assert_eq!(shown.lines().count(), 1);
    let (lines, _) = reported(at, &["train", "tiny.toml", "--out", "quiet", "--quiet"]);
    assert!(lines.is_empty(), "{lines:#?}");
}

/// Work of less than five seconds needs no reports.
#[test]
fn short_work_is_silent() {
    let folder = trained();
    let at = folder.path();
    ok(at, &["export", "run", "--format", "f32", "--out", "m.vdm"]);
    let output = program(at).args(["evaluate", "m.vdm"]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
}
