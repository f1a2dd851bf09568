//! Few steps: chosen, trained for, taught.

use crate::common;
use crate::support::{fails, ok, trained};

/// Fewer steps chosen by the ELBO: the table says what the exported file then scores.
#[test]
fn steps_are_chosen_by_the_elbo() {
    let folder = trained();
    let at = folder.path();
    let study = ["choose-steps", "run", "--grid", "41", "--draws", "16"];
    let text = ok(
        at,
        &[&study[..], &["--chain-steps", "2,4", "--chart", "c.svg", "--json"]].concat(),
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
        let write = ["--chain-steps", "4", "--format", format, "--out", "few.vdm", "--json"];
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
    let error = fails(at, &["choose-steps", "run", "--chain-steps", "2,4", "--out", "no.vdm"]);
    assert!(error.contains("one number of --chain-steps"), "{error}");
    let error = fails(at, &["choose-steps", "run", "--grid", "9", "--chain-steps", "30"]);
    assert!(error.contains("--grid"), "{error}");
}

#[test]
fn the_estimates_variance_is_measured() {
    let folder = trained();
    let few = ["loss-variance", "run", "--draws", "16", "--batches", "20"];
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
    assert!(fails(folder.path(), &["loss-variance", "run", "--draws", "1"]).contains("at least 2"));
}

/// Scripts that know the commands and flags by their old names go on.
#[test]
fn old_names_of_commands_are_understood() {
    let folder = trained();
    let at = folder.path();
    let study = ["run", "--grid", "41", "--draws", "2", "--json"];
    let new = ok(at, &[&["choose-steps", "--chain-steps", "2"], &study[..]].concat());
    let old = ok(at, &[&["schedule", "--steps", "2"], &study[..]].concat());
    assert_eq!(new, old);
    let few = ["run", "--draws", "2", "--batches", "2", "--json"];
    let new = ok(at, &[&["loss-variance"], &few[..]].concat());
    let old = ok(at, &[&["variance"], &few[..]].concat());
    assert_eq!(new, old);
    let help = ok(at, &["--help"]);
    assert!(help.contains("choose-steps") && !help.contains("schedule "), "{help}");
}

/// From a model of many steps to one of few, by the commands of the manual.
#[test]
fn a_model_is_trained_on_for_few_steps() {
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

    let wide = common::config_text("data.csv").replace("[16, 16]", "[24]");
    std::fs::write(at.join("wide.toml"), wide).unwrap();
    let error = fails(at, &["train", "wide.toml", "--from", "run"]);
    assert!(error.contains("model.hidden"), "{error}");
}

#[test]
fn a_model_is_sampled_with_fewer_steps() {
    let folder = trained();
    let at = folder.path();
    // Every second step, and no noise: the same model, another sampler.
    ok(at, &["export", "run", "--format", "f32", "--out", "many.vdm"]);
    let draw = |more: &[&str]| ok(at, &[&["sample", "many.vdm", "--count", "3", "--hex"], more].concat());
    assert_eq!(draw(&[]), draw(&["--chain-steps", "8", "--eta", "1"]));
    assert_ne!(
        draw(&["--chain-steps", "4"]),
        draw(&["--chain-steps", "4", "--eta", "0"])
    );
    let error = fails(at, &["sample", "many.vdm", "--chain-steps", "9", "--hex"]);
    assert!(error.contains("the model has 1 to 8"), "{error}");
    // The flag's old name.
    assert_eq!(draw(&["--steps", "4"]), draw(&["--chain-steps", "4"]));
}

#[test]
fn a_student_draws_samples_and_has_no_elbo() {
    let folder = trained();
    let at = folder.path();
    ok(at, &["export", "run", "--format", "f32", "--out", "many.vdm"]);
    ok(
        at,
        &[
            "distill",
            "run",
            "--chain-steps",
            "2",
            "--updates",
            "5",
            "--out",
            "students",
        ],
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
    assert!(error.contains("only draws samples"), "{error}");
    let text = ok(at, &["compare", "many.vdm", "student.vdm", "--samples", "50", "--json"]);
    let rows: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(
        rows[1]["bits_per_dim"].is_null() && rows[1]["energy_distance"].is_f64(),
        "{text}"
    );
}
