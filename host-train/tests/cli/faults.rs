//! Files and places with faults, and the error sentences about them.

use crate::common;
use crate::support::{fails, ok, trained};
#[cfg(target_os = "linux")]
use std::path::PathBuf;

#[test]
fn configurations_with_faults() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    common::files(at);
    let write = |from: &str, to: &str| {
        let text = common::config_text("data.csv");
        assert!(text.contains(from), "{from}");
        std::fs::write(at.join("bad.toml"), text.replace(from, to)).unwrap();
        fails(at, &["train", "bad.toml", "--out", "run"])
    };
    let unknown = write("warmup = 5", "warm_up = 5");
    assert!(
        unknown.contains("bad.toml") && unknown.contains("line 22: unknown field `warm_up`"),
        "{unknown}"
    );
    let range = write("batch = 32", "batch = 0");
    assert!(range.contains("bad.toml") && range.contains("train.batch"), "{range}");
    let missing = fails(at, &["train", "none.toml"]);
    assert!(missing.contains("cannot read the configuration none.toml"), "{missing}");
    let clip = write("levels = 5\n", "");
    assert!(clip.contains("model.clip is true"), "{clip}");
    assert!(!at.join("run").exists(), "nothing is made of a bad configuration");
}

#[test]
fn data_with_faults() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    common::files(at);
    let good = common::data_text();
    let (first, rest) = good.split_once('\n').unwrap();
    for (contents, parts) in [
        (format!("{first}\n1,2,3\n{rest}"), ["data.csv", "row 2", "3"]),
        (format!("{first}\n1,NaN,3,1\n{rest}"), ["data.csv", "row 2", "NaN"]),
        (format!("{first}\n1,2,9,1\n{rest}"), ["data.csv", "row 2", "9"]),
        (String::new(), ["data.csv", "holds no values", ""]),
    ] {
        std::fs::write(at.join("data.csv"), contents).unwrap();
        let error = fails(at, &["train", "tiny.toml", "--out", "run"]);
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
}

/// Model files that are damaged in every way that the format knows of.
#[test]
fn models_with_faults() {
    let folder = trained();
    let at = folder.path();
    ok(at, &["export", "run", "--format", "w8a16", "--out", "m.vdm"]);
    let good = std::fs::read(at.join("m.vdm")).unwrap();
    let evaluate = |bytes: &[u8]| {
        std::fs::write(at.join("bad.vdm"), bytes).unwrap();
        let error = fails(at, &["evaluate", "bad.vdm", "--json"]);
        assert!(error.contains("bad.vdm"), "{error}");
        error
    };
    assert!(evaluate(&good[..good.len() - 5]).contains("cut short"));
    assert!(evaluate(&[]).contains("not an ancestral model"));
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 4;
    assert!(evaluate(&flipped).contains("damaged"));
    let mut version = good.clone();
    version[4] = 7;
    assert!(evaluate(&version).contains("version 7"));
    let missing = fails(at, &["evaluate", "none.vdm"]);
    assert!(missing.contains("cannot read the model none.vdm"), "{missing}");
    // The wrong data for the model: other dimensions.
    std::fs::write(at.join("wide.csv"), "1,2,3\n4,0,1\n".repeat(20)).unwrap();
    std::fs::write(at.join("wide.toml"), common::config_text("wide.csv")).unwrap();
    let error = fails(at, &["evaluate", "m.vdm", "--config", "wide.toml"]);
    assert!(error.contains("4 dimensions") && error.contains("wide.csv"), "{error}");
}

/// A file where a folder is needed, or the other way round: fails for root too, unlike permissions.
#[test]
fn places_that_cannot_be_written_harm_nothing() {
    let folder = trained();
    let at = folder.path();
    ok(at, &["export", "run", "--format", "f32", "--out", "m.vdm"]);
    let before = std::fs::read(at.join("m.vdm")).unwrap();
    std::fs::write(at.join("file"), "in the way").unwrap();
    for out in ["file/m.vdm", "run"] {
        let error = fails(at, &["export", "run", "--format", "f32", "--out", out]);
        assert!(error.contains(out), "{error}");
    }
    let error = fails(at, &["train", "tiny.toml", "--out", "file/run"]);
    assert!(error.contains("file/run"), "{error}");
    // An export that fails half-way leaves the earlier model whole.
    let checkpoint = at.join("run/weights.safetensors");
    let weights = std::fs::read(&checkpoint).unwrap();
    std::fs::write(&checkpoint, &weights[..weights.len() / 2]).unwrap();
    fails(at, &["export", "run", "--format", "w8a16", "--out", "m.vdm"]);
    assert_eq!(std::fs::read(at.join("m.vdm")).unwrap(), before);
}

/// The data's path is relative to the configuration; from elsewhere `--config` says where that is.
#[test]
fn a_model_finds_its_data_from_another_folder() {
    let folder = trained();
    let at = folder.path();
    ok(at, &["export", "run", "--format", "f32", "--out", "m.vdm"]);
    let elsewhere = tempfile::tempdir().unwrap();
    let model = at.join("m.vdm").display().to_string();
    let config = at.join("tiny.toml").display().to_string();
    ok(elsewhere.path(), &["evaluate", &model]);
    // A model that has left its data behind needs the configuration.
    let alone = elsewhere.path().join("deeper/alone.vdm");
    std::fs::create_dir(elsewhere.path().join("deeper")).unwrap();
    std::fs::copy(&model, &alone).unwrap();
    let model = alone.display().to_string();
    let error = fails(elsewhere.path(), &["evaluate", &model]);
    assert!(error.contains("--config"), "{error}");
    ok(elsewhere.path(), &["evaluate", &model, "--config", &config]);
    let run = at.join("run").display().to_string();
    ok(
        elsewhere.path(),
        &[
            "export", &run, "--config", &config, "--format", "w8a16", "--out", "m.vdm",
        ],
    );
}

/// A real full disk, where the system has one of a few kilobytes to offer.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_harms_nothing() {
    let folder = trained();
    let at = folder.path();
    let disk = at.join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=20k", "tmpfs"])
        .arg(&disk)
        .stderr(std::process::Stdio::null())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        common::left_out("a_full_disk_harms_nothing", "no right to mount a small disk here");
        return;
    }
    let _guard = Mounted(disk.clone());
    ok(at, &["export", "run", "--format", "w8a16", "--out", "disk/m.vdm"]);
    let before = std::fs::read(disk.join("m.vdm")).unwrap();
    // As much as fits: the write itself fails.
    std::fs::write(disk.join("ballast"), vec![0; 64 * 1024]).unwrap_err();
    let error = fails(at, &["export", "run", "--format", "f32", "--out", "disk/m.vdm"]);
    assert!(error.contains("disk/m.vdm") && error.contains("unchanged"), "{error}");
    assert_eq!(std::fs::read(disk.join("m.vdm")).unwrap(), before);
    let names: Vec<_> = std::fs::read_dir(&disk)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 2, "no half file is left behind: {names:?}");
}

#[cfg(target_os = "linux")]
struct Mounted(PathBuf);

#[cfg(target_os = "linux")]
impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let folder = trained();
    let at = folder.path();
    ok(at, &["export", "run", "--format", "f32", "--out", "m.vdm"]);
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("host-train"))
        .current_dir(at)
        .args(["sample", "m.vdm", "--count", "20000", "--hex"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
