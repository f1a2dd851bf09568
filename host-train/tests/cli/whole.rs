//! From a run to model files, samples and a report.

use crate::common;
use crate::support::{fails, json, ok, trained};
use ancestral::FormatId;

#[test]
fn a_checkpoint_scores_as_its_exported_model() {
    let folder = trained();
    let at = folder.path();
    for format in ["f32", "w8a16"] {
        let model = format!("{format}.vdm");
        ok(at, &["export", "run", "--format", format, "--out", &model]);
        let score = json(at, &["evaluate", &model, "--json"]);
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
        json(at, &["evaluate", "run", "--json"]),
        json(at, &["evaluate", "f32.vdm", "--json"]),
    );
    assert_eq!(a["bits_per_dim"], b["bits_per_dim"]);
}

#[test]
fn every_way_to_write_samples_holds_the_same_numbers() {
    let folder = trained();
    let at = folder.path();
    ok(at, &["export", "run", "--format", "w8a16", "--out", "w8a16.vdm"]);
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
}

#[test]
fn a_report_shows_every_model_and_the_board() {
    let folder = trained();
    let at = folder.path();
    for format in ["f32", "w8a16"] {
        let model = format!("{format}.vdm");
        ok(at, &["export", "run", "--format", format, "--out", &model]);
    }
    let hex = ok(at, &["sample", "w8a16.vdm", "--count", "9", "--hex"]);
    std::fs::write(at.join("board.hex"), hex).unwrap();
    let report = json(
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
    let (integer, float): (Vec<FormatId>, _) = FormatId::ALL.iter().partition(|id| id.is_integer());
    for format in float.iter().map(|id| id.name()) {
        ok(
            at,
            &["export", "run", "--format", format, "--out", &format!("{format}.vdm")],
        );
    }
    for format in integer.iter().map(|id| id.name()) {
        let model = format!("{format}.vdm");
        let mut arguments = vec!["quantize", "run", "--format", format, "--out", &model, "--json"];
        if format == "w4a8" {
            arguments.extend(["--finetune", "--steps", "20", "--batch", "32"]);
        }
        let made = json(at, &arguments);
        let errors = &made["quantization"];
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
    assert!(error.contains("needs no quantization"), "{error}");
    let error = fails(at, &["compare", "f32.vdm", "--state", "--samples", "0"]);
    assert!(error.contains("name such a file"), "{error}");
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
    assert!(error.contains("only discretized data can be drawn"), "{error}");
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
