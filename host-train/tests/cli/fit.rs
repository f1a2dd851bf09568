//! The whole way as one command.

use crate::common;
use crate::support::{fails, json, ok, program};

#[test]
fn fit_does_what_the_commands_do_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    common::files(at);
    let fitted = json(
        at,
        &[
            "fit",
            "tiny.toml",
            "--out",
            "fit",
            "--count",
            "9",
            "--sample-seed",
            "5",
            "--json",
        ],
    );
    let trained = json(at, &["train", "tiny.toml", "--out", "run", "--json"]);
    assert_eq!(
        fitted["training"]["held_out"]["bits_per_dim"],
        trained["held_out"]["bits_per_dim"]
    );
    let read = |path: &str| std::fs::read(at.join(path)).unwrap();
    assert_eq!(read("fit/losses.csv"), read("run/losses.csv"));
    for (index, format) in ["f32", "w8a16"].into_iter().enumerate() {
        let model = &fitted["models"][index];
        assert_eq!(
            (&model["format"], &model["file"]),
            (&format.into(), &format!("fit/tiny-{format}.vdm").into())
        );
        // Files of one folder name their data alike.
        ok(at, &["export", "run", "--format", format, "--out", "fit/m.vdm"]);
        assert_eq!(read(&format!("fit/tiny-{format}.vdm")), read("fit/m.vdm"));
        let mut score = json(at, &["evaluate", "fit/m.vdm", "--json"]);
        score["file"] = model["file"].clone();
        assert_eq!(model["held_out"], score);
        let written: serde_json::Value = serde_json::from_slice(&read(&format!("fit/tiny-{format}.json"))).unwrap();
        assert_eq!(written, score);
        ok(
            at,
            &["sample", "fit/m.vdm", "--count", "9", "--seed", "5", "--out", "s.csv"],
        );
        assert_eq!(read(&format!("fit/samples-{format}.csv")), read("s.csv"));
    }
    assert_eq!(
        (&fitted["report"], &fitted["picture"]),
        (&"fit/report.html".into(), &"fit/grid.png".into())
    );
    let page = std::fs::read_to_string(at.join("fit/report.html")).unwrap();
    assert!(page.contains("tiny-w8a16.vdm") && at.join("fit/grid.png").is_file());
}

#[test]
fn fit_goes_on_from_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    common::files(at);
    let output = program(at)
        .args(["train", "tiny.toml", "--out", "fit", "--stop-at", "3"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(130));
    let text = ok(
        at,
        &["fit", "tiny.toml", "--out", "fit", "--resume", "--formats", "f32"],
    );
    assert!(text.contains("fit/tiny-f32.vdm") && !text.contains("w8a16"), "{text}");
    ok(at, &["fit", "tiny.toml", "--out", "whole", "--formats", "f32"]);
    let model = |run: &str| std::fs::read(at.join(run).join("tiny-f32.vdm")).unwrap();
    assert_eq!(model("fit"), model("whole"));
    let error = fails(at, &["fit", "none.toml"]);
    assert!(error.contains("cannot read the configuration none.toml"), "{error}");
}
