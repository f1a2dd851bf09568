//! The program as a person uses it, and what it says when something is wrong.

mod common;

use assert_cmd::Command;
use host_train::checkpoint::CHECKPOINT;
use std::path::{Path, PathBuf};

fn program(folder: &Path) -> Command {
    let mut command = Command::cargo_bin("host-train").unwrap();
    command.current_dir(folder);
    command
}

/// Runs it, expects success, returns standard output.
fn ok(folder: &Path, arguments: &[&str]) -> String {
    let output = program(folder).args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs it, expects a failure, returns the last line of standard error.
fn fails(folder: &Path, arguments: &[&str]) -> String {
    let output = program(folder).args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
    assert!(output.stdout.is_empty(), "a failure prints nothing on standard output");
    let last = error.trim_end().lines().last().unwrap_or_default().to_owned();
    assert!(last.starts_with("error: "), "{error}");
    last
}

/// A folder with data, configuration and a finished run.
fn trained() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    common::files(folder.path());
    ok(folder.path(), &["train", "tiny.toml", "--out", "run"]);
    folder
}

#[test]
fn the_whole_way() {
    let folder = trained();
    let at = folder.path();
    for format in ["f32", "w8a16"] {
        let model = format!("{format}.vdm");
        ok(at, &["export", "run", "--format", format, "--out", &model]);
        let text = ok(at, &["evaluate", &model, "--json"]);
        let score: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(score["format"], format);
        assert_eq!((score["rows"].as_u64(), score["steps"].as_u64()), (Some(6), Some(8)));
        let sum: f64 = ["reconstruction", "prior", "diffusion"]
            .iter()
            .map(|k| score[*k].as_f64().unwrap())
            .sum();
        assert!((score["bits_per_dim"].as_f64().unwrap() - sum).abs() < 1e-9);
    }
    // A checkpoint is scored in f32: the same numbers as its exported model.
    let (a, b) = (
        ok(at, &["evaluate", "run", "--json"]),
        ok(at, &["evaluate", "f32.vdm", "--json"]),
    );
    let bits = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()["bits_per_dim"].clone();
    assert_eq!(bits(&a), bits(&b));

    // Every way to write samples holds the same numbers.
    ok(at, &["sample", "w8a16.vdm", "--count", "9", "--out", "s.csv"]);
    ok(at, &["sample", "w8a16.vdm", "--count", "9", "--out", "s.npy"]);
    ok(at, &["sample", "w8a16.vdm", "--count", "9", "--out", "s.png"]);
    let hex = ok(at, &["sample", "w8a16.vdm", "--count", "9", "--hex"]);
    let csv = std::fs::read_to_string(at.join("s.csv")).unwrap();
    let npy = std::fs::read(at.join("s.npy")).unwrap();
    let values: Vec<f32> = npyz::NpyFile::new(npy.as_slice()).unwrap().into_vec().unwrap();
    assert_eq!((csv.lines().count(), hex.lines().count(), values.len()), (9, 9, 36));
    for (i, (line, hex)) in csv.lines().zip(hex.lines()).enumerate() {
        let row: Vec<f32> = line.split(',').map(|v| v.parse().unwrap()).collect();
        assert_eq!(row, &values[4 * i..4 * i + 4]);
        let digits: String = row.iter().map(|v| format!("{:02x}", *v as u8)).collect();
        assert_eq!(hex, format!("hex {i} {digits}"));
    }

    std::fs::write(at.join("board.hex"), hex).unwrap();
    let text = ok(
        at,
        &[
            "report",
            "run",
            "--models",
            "f32.vdm",
            "--models",
            "w8a16.vdm",
            "--board",
            "board.hex",
            "--json",
        ],
    );
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["formats"].as_array().unwrap().len(), 2);
    assert!(
        std::fs::read_to_string(at.join("run/report.html"))
            .unwrap()
            .contains("w8a16")
    );
    assert!(at.join("run/grid.png").is_file());
}

/// Every format of one model, side by side.
#[test]
fn formats_are_compared() {
    let folder = trained();
    let at = folder.path();
    for format in ["f32", "f16"] {
        ok(
            at,
            &["export", "run", "--format", format, "--out", &format!("{format}.vdm")],
        );
    }
    for format in ["w8a16", "w8a8", "w4a8"] {
        let model = format!("{format}.vdm");
        let mut arguments = vec!["quantize", "run", "--format", format, "--out", &model, "--json"];
        if format == "w4a8" {
            arguments.extend(["--finetune", "--steps", "20", "--batch", "32"]);
        }
        let made: serde_json::Value = serde_json::from_str(&ok(at, &arguments)).unwrap();
        let errors = &made["quantisation"];
        assert!(errors["calibrated_nats_per_dim"].as_f64().unwrap() > 0.0, "{made}");
        assert_eq!(errors["finetuned_nats_per_dim"].is_null(), format != "w4a8");
    }
    let files = ["w8a16.vdm", "f16.vdm", "f32.vdm", "w8a8.vdm", "w4a8.vdm"];
    let base = ["compare", "--samples", "200", "--picture", "p.png"];
    let text = ok(at, &[&base[..], &files, &["--state", "--json"]].concat());
    let list: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let formats: Vec<_> = list.iter().map(|row| row["format"].as_str().unwrap()).collect();
    assert_eq!(formats, ["w8a16", "f16", "f32", "w8a8", "w4a8", "f32 in q3.12"]);
    for row in &list {
        let number = |key: &str| row[key].as_f64().unwrap();
        assert_eq!(row["reference"], "f32.vdm");
        assert!((number("bits_per_dim") - list[2]["bits_per_dim"].as_f64().unwrap() - number("delta")).abs() < 1e-12);
        assert_eq!(number("macs_per_sample"), f64::from(8 * (4 * 16 + 16 * 16 + 16 * 4)));
        assert!(row["format"] == "f32 in q3.12" || number("energy_distance").is_finite());
    }
    assert_eq!(list[2]["delta"], 0.0);
    assert!(list[1]["delta"].as_f64().unwrap().abs() < 0.01, "{}", list[1]);
    let bytes = |index: usize| list[index]["file_bytes"].as_u64().unwrap();
    assert!(bytes(4) < bytes(3) && bytes(3) < bytes(1) && bytes(1) < bytes(2));
    assert!(list[3]["ram_bytes"].as_u64() < list[0]["ram_bytes"].as_u64());
    // The same scores as by themselves.
    let alone: serde_json::Value = serde_json::from_str(&ok(at, &["evaluate", "w4a8.vdm", "--json"])).unwrap();
    assert_eq!(alone["bits_per_dim"], list[4]["bits_per_dim"]);
    assert!(at.join("p.png").is_file());
    assert!(ok(at, &[&base[..], &files].concat()).contains("random halves of the data"));

    let error = fails(at, &["quantize", "run", "--format", "f16", "--out", "no.vdm"]);
    assert!(error.contains("needs no quantisation"), "{error}");
    let error = fails(at, &["compare", "f32.vdm", "--state", "--samples", "0"]);
    assert!(error.contains("name such a file"), "{error}");
}

/// Fewer steps chosen by the ELBO: the table says what the exported file then scores.
#[test]
fn steps_are_chosen_by_the_elbo() {
    let folder = trained();
    let at = folder.path();
    let study = ["schedule", "run", "--grid", "41", "--draws", "16"];
    let text = ok(
        at,
        &[&study[..], &["--steps", "2,4", "--chart", "c.svg", "--json"]].concat(),
    );
    let list: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(list.len(), 4 * 3 * 2);
    let bits = |path: &str, variance: &str, steps: u64, key: &str| {
        let is = |t: &&serde_json::Value| t["path"] == path && t["variance"] == variance && t["steps"] == steps;
        list.iter().find(is).unwrap()[key].as_f64().unwrap()
    };
    for steps in [2, 4] {
        for variance in ["posterior", "calibrated", "rotated"] {
            let best = bits("best", variance, steps, "expected_bits_per_dim");
            for path in ["even", "cosine", "learned"] {
                assert!(
                    best <= 1.02 * bits(path, variance, steps, "expected_bits_per_dim"),
                    "{path} {variance}"
                );
            }
            assert!(best <= bits("best", "posterior", steps, "expected_bits_per_dim") + 1e-9);
        }
    }
    assert!(std::fs::read_to_string(at.join("c.svg")).unwrap().contains("</svg>"));
    for format in ["f32", "w8a16", "w8a8"] {
        let write = ["--steps", "4", "--format", format, "--out", "few.vdm", "--json"];
        let text = ok(at, &[&study[..], &write].concat());
        let tables: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        let cheapest = tables
            .iter()
            .min_by(|a, b| {
                let bits = |t: &serde_json::Value| t["expected_bits_per_dim"].as_f64().unwrap();
                bits(a).total_cmp(&bits(b))
            })
            .unwrap();
        let score = ok(at, &["evaluate", "few.vdm", "--draws", "400", "--json"]);
        let score: serde_json::Value = serde_json::from_str(&score).unwrap();
        let (claimed, found) = (
            cheapest["test_bits_per_dim"].as_f64().unwrap(),
            score["bits_per_dim"].as_f64().unwrap(),
        );
        assert_eq!((score["steps"].as_u64(), &score["format"]), (Some(4), &format.into()));
        assert!(
            (found - claimed).abs() < 0.06,
            "{format}: {claimed} promised, {found} found"
        );
        ok(at, &["sample", "few.vdm", "--count", "5", "--hex"]);
    }
    let error = fails(at, &["schedule", "run", "--steps", "2,4", "--out", "no.vdm"]);
    assert!(error.contains("one number of --steps"), "{error}");
    let error = fails(at, &["schedule", "run", "--grid", "9", "--steps", "30"]);
    assert!(error.contains("--grid"), "{error}");
}

#[test]
fn the_estimates_variance_is_measured() {
    let folder = trained();
    let few = ["variance", "run", "--draws", "16", "--batches", "20"];
    let text = ok(folder.path(), &[&few[..], &["--json"]].concat());
    let found: serde_json::Value = serde_json::from_str(&text).unwrap();
    let found = found.as_array().unwrap();
    assert_eq!(found.len(), 6);
    assert_eq!(
        (&found[5]["schedule"], &found[5]["steps"]),
        (&"learned".into(), &8.into())
    );
    assert!(
        found
            .iter()
            .all(|e| e["deviation"].as_f64().unwrap() > 0.0 && e["mean"].as_f64().unwrap() > 0.0)
    );
    let table = ok(folder.path(), &few);
    assert_eq!(table.lines().count(), 8);
    assert!(fails(folder.path(), &["variance", "run", "--draws", "1"]).contains("at least 2"));
}

#[cfg(not(feature = "mpi"))]
#[test]
fn a_build_without_mpi_says_how_to_make_one_with_it() {
    let folder = tempfile::tempdir().unwrap();
    common::files(folder.path());
    std::fs::write(
        folder.path().join("sweep.toml"),
        "base = \"tiny.toml\"\n[grid]\nseed = [1, 2]\n",
    )
    .unwrap();
    for (command, file) in [("train", "tiny.toml"), ("sweep", "sweep.toml")] {
        let error = fails(folder.path(), &[command, file, "--mpi"]);
        assert!(error.contains("--features mpi (docs/mpi.md)"), "{error}");
    }
}

#[test]
fn continuous_data_goes_the_whole_way() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let rows: String = (0..80)
        .map(|i| {
            format!(
                "{:.3},{:.3}\n",
                (i as f32 * 0.7).sin() * 3.0 + 10.0,
                (i as f32 * 0.7).cos()
            )
        })
        .collect();
    std::fs::write(at.join("data.csv"), rows).unwrap();
    let text = common::config_text("data.csv")
        .replace("levels = 5\n", "")
        .replace("clip = true", "clip = false");
    std::fs::write(at.join("tiny.toml"), text).unwrap();
    ok(at, &["train", "tiny.toml", "--out", "run"]);
    ok(at, &["export", "run", "--format", "w8a16", "--out", "m.vdm"]);
    let score: serde_json::Value = serde_json::from_str(&ok(at, &["evaluate", "m.vdm", "--json"])).unwrap();
    assert!(score["bits_per_dim"].as_f64().unwrap().is_finite());
    ok(
        at,
        &[
            "quantize",
            "run",
            "--format",
            "w8a8",
            "--finetune",
            "--steps",
            "8",
            "--out",
            "b.vdm",
        ],
    );
    let compare = [
        "compare",
        "m.vdm",
        "b.vdm",
        "--samples",
        "100",
        "--picture",
        "p.png",
        "--json",
    ];
    let list: Vec<serde_json::Value> = serde_json::from_str(&ok(at, &compare)).unwrap();
    assert_eq!(
        (&list[0]["reference"], &list[1]["format"]),
        (&"m.vdm".into(), &"w8a8".into())
    );
    assert!(at.join("p.png").is_file());
    ok(at, &["sample", "m.vdm", "--count", "50", "--out", "s.csv"]);
    let csv = std::fs::read_to_string(at.join("s.csv")).unwrap();
    let first: Vec<f32> = csv
        .lines()
        .map(|l| l.split(',').next().unwrap().parse().unwrap())
        .collect();
    let mean = first.iter().sum::<f32>() / 50.0;
    assert!(
        (mean - 10.0).abs() < 2.0,
        "samples come back in the file's units: {mean}"
    );
    ok(at, &["report", "run", "--models", "m.vdm"]);
    let error = fails(at, &["sample", "m.vdm", "--out", "s.png"]);
    assert!(error.contains("only discretised data can be drawn"), "{error}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_a_checkpoint_that_resumes() {
    use std::process::{Command as Process, Stdio};
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    common::files(at);
    let mut child = Process::new(assert_cmd::cargo::cargo_bin("host-train"))
        .current_dir(at)
        .args(["train", "tiny.toml", "--out", "run", "--steps", "1000000"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The first checkpoint says that training, and so the handler, has begun.
    while !at.join("run").join(CHECKPOINT).exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let killed = Process::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let mut error = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut error).unwrap();
    // The program says how to go on, and that works.
    let command = error
        .split("go on with: host-train ")
        .nth(1)
        .unwrap()
        .lines()
        .next()
        .unwrap();
    let output = program(at)
        .args(command.split_whitespace())
        .args(["--stop-at", "1"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!text.contains("error:"), "{text}");
}

#[test]
fn what_is_optimised_must_stay_the_same_on_resuming() {
    let folder = trained();
    let at = folder.path();
    let error = fails(at, &["train", "tiny.toml", "--out", "run", "--resume", "--seed", "9"]);
    assert!(error.contains("seed of tiny.toml differs"), "{error}");
    let text = common::config_text("data.csv").replace("hidden = [16, 16]", "hidden = [16, 17]");
    std::fs::write(at.join("other.toml"), text).unwrap();
    let error = fails(at, &["train", "other.toml", "--out", "run", "--resume"]);
    assert!(error.contains("[model] of other.toml differs"), "{error}");
    // A longer run may go on; its old weights step aside until it has ended.
    ok(at, &["train", "tiny.toml", "--out", "run", "--resume", "--steps", "60"]);
    assert!(at.join("run/previous-1/weights.safetensors").is_file());
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

/// The data's path is relative to the configuration; from elsewhere `--config` says where that is.
#[test]
fn a_model_finds_its_data_from_another_folder_by_its_configuration() {
    let folder = trained();
    let at = folder.path();
    ok(at, &["export", "run", "--format", "f32", "--out", "m.vdm"]);
    let elsewhere = tempfile::tempdir().unwrap();
    let model = at.join("m.vdm").display().to_string();
    let config = at.join("tiny.toml").display().to_string();
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
        unknown.contains("bad.toml") && unknown.contains("line 21: unknown field `warm_up`"),
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
fn an_earlier_run_is_kept_and_does_not_pass_for_the_new_one() {
    let folder = trained();
    let at = folder.path();
    let before = std::fs::read(at.join("run").join(CHECKPOINT)).unwrap();
    let output = program(at)
        .args(["train", "tiny.toml", "--out", "run", "--seed", "4", "--stop-at", "3"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(!at.join("run/weights.safetensors").exists());
    for (n, steps) in [(2, "5"), (3, "6")] {
        ok(at, &["train", "tiny.toml", "--out", "run", "--steps", steps]);
        assert!(at.join(format!("run/previous-{n}")).is_dir());
    }
    assert_eq!(
        std::fs::read(at.join("run/previous-1").join(CHECKPOINT)).unwrap(),
        before
    );
}

/// From a model of many steps to one of few, and to a student, by the commands of the manual.
#[test]
fn a_model_is_trained_on_for_few_steps_and_distilled() {
    let folder = trained();
    let at = folder.path();
    let few = common::config_text("data.csv")
        .replace("levels = 5", "levels = 5\nvalidation_rows = 8")
        .replace("learn_gamma", "variance = \"rotated\"\nlearn_gamma");
    std::fs::write(at.join("few.toml"), few).unwrap();
    let arguments = [
        "train",
        "few.toml",
        "--from",
        "run",
        "--chain-steps",
        "3",
        "--out",
        "few",
        "--json",
    ];
    let result: serde_json::Value = serde_json::from_str(&ok(at, &arguments)).unwrap();
    assert_eq!(result["held_out"]["steps"], 3);
    for format in ["f32", "w8a16"] {
        ok(at, &["export", "few", "--format", format, "--out", "few.vdm"]);
        let score: serde_json::Value =
            serde_json::from_str(&ok(at, &["evaluate", "few.vdm", "--draws", "1", "--json"])).unwrap();
        let (own, file) = (&result["held_out"]["bits_per_dim"], &score["bits_per_dim"]);
        assert!(
            (own.as_f64().unwrap() - file.as_f64().unwrap()).abs() < 0.05,
            "{format}: {own} {file}"
        );
    }
    // Every second step, and no noise: the same model, another sampler.
    ok(at, &["export", "run", "--format", "f32", "--out", "many.vdm"]);
    let draw = |more: &[&str]| ok(at, &[&["sample", "many.vdm", "--count", "3", "--hex"], more].concat());
    assert_eq!(draw(&[]), draw(&["--steps", "8", "--eta", "1"]));
    assert_ne!(draw(&["--steps", "4"]), draw(&["--steps", "4", "--eta", "0"]));
    let error = fails(at, &["sample", "many.vdm", "--steps", "9", "--hex"]);
    assert!(error.contains("the model has 1 to 8"), "{error}");

    ok(
        at,
        &["distill", "run", "--steps", "2", "--updates", "5", "--out", "students"],
    );
    ok(
        at,
        &[
            "export",
            "students/t2.safetensors",
            "--format",
            "w8a16",
            "--out",
            "student.vdm",
        ],
    );
    assert_eq!(
        ok(at, &["sample", "student.vdm", "--count", "3", "--hex"])
            .lines()
            .count(),
        3
    );
    let error = fails(at, &["evaluate", "student.vdm"]);
    assert!(error.contains("samples alone"), "{error}");
    let text = ok(at, &["compare", "many.vdm", "student.vdm", "--samples", "50", "--json"]);
    let rows: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(
        rows[1]["bits_per_dim"].is_null() && rows[1]["energy_distance"].is_f64(),
        "{text}"
    );

    let wide = common::config_text("data.csv").replace("[16, 16]", "[24]");
    std::fs::write(at.join("wide.toml"), wide).unwrap();
    let error = fails(at, &["train", "wide.toml", "--from", "run"]);
    assert!(error.contains("model.hidden"), "{error}");
}

/// A distribution that is known says what no model can beat.
#[test]
fn the_gap_to_a_known_entropy_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let text = common::config_text("mixture-1d")
        .replace("levels = 5", "test_rows = 500")
        .replace("clip = true", "clip = false")
        .replace("steps = 40", "steps = 400");
    std::fs::write(at.join("mixture.toml"), text).unwrap();
    let result: serde_json::Value = serde_json::from_str(&ok(at, &["train", "mixture.toml", "--json"])).unwrap();
    let truth = &result["held_out"]["truth"];
    let gap = truth["gap_nats"].as_f64().unwrap();
    let entropy = truth["entropy"].as_f64().unwrap();
    assert!((entropy - 0.7252).abs() < 1e-3, "{entropy}");
    let bits = result["held_out"]["bits_per_dim"].as_f64().unwrap();
    let own = truth["bits_per_dim"].as_f64().unwrap();
    assert!((gap - (bits - own) * std::f64::consts::LN_2).abs() < 1e-6);
    // 500 rows scatter by 0.04 about the entropy; a model so small and so short in training is well above either.
    assert!((own - entropy).abs() < 0.2 && gap > 0.0, "{own} {gap}");
}

#[test]
fn what_only_a_gpu_can_is_refused_on_the_cpu() {
    let folder = tempfile::tempdir().unwrap();
    let path = common::files(folder.path());
    let text = std::fs::read_to_string(&path).unwrap();
    for setting in ["products = \"bf16\"", "graph = true"] {
        std::fs::write(&path, format!("{text}{setting}\n")).unwrap();
        let error = fails(folder.path(), &["train", "tiny.toml", "--out", "run"]);
        assert!(error.contains("train with --cuda"), "{error}");
        assert!(!folder.path().join("run").join(CHECKPOINT).exists());
    }
    std::fs::write(&path, format!("{text}products = \"f16\"\n")).unwrap();
    let error = fails(folder.path(), &["train", "tiny.toml", "--out", "run"]);
    assert!(error.contains("line 27") && error.contains("f16"), "{error}");
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_program_without_cuda_says_so() {
    let folder = tempfile::tempdir().unwrap();
    common::files(folder.path());
    std::fs::write(
        folder.path().join("sweep.toml"),
        "base = \"tiny.toml\"\n[grid]\nseed = [1, 2]\n",
    )
    .unwrap();
    for arguments in [
        &["train", "tiny.toml", "--cuda"][..],
        &["sweep", "sweep.toml", "--together", "2", "--cuda"],
        &["sweep", "sweep.toml", "--cuda"],
    ] {
        let error = fails(folder.path(), arguments);
        assert!(
            error.contains("built without CUDA") && error.contains("docs/cuda.md"),
            "{error}"
        );
    }
}
