//! Running the program.

use crate::common;
use assert_cmd::Command;
use std::path::Path;

/// The program, to be run in a folder.
pub fn program(folder: &Path) -> Command {
    let mut command = Command::cargo_bin("host-train").unwrap();
    command.current_dir(folder);
    command
}

/// Runs it, expects success, returns standard output.
pub fn ok(folder: &Path, arguments: &[&str]) -> String {
    let output = program(folder).args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs it, expects a failure, returns the last line of standard error.
pub fn fails(folder: &Path, arguments: &[&str]) -> String {
    let output = program(folder).args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
    assert!(output.stdout.is_empty(), "a failure prints nothing on standard output");
    let last = error.trim_end().lines().last().unwrap_or_default().to_owned();
    assert!(last.starts_with("error: "), "{error}");
    last
}

/// A folder with data, configuration and a finished run.
pub fn trained() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    common::files(folder.path());
    ok(folder.path(), &["train", "tiny.toml", "--out", "run"]);
    folder
}

/// Runs it, expects success, returns the JSON on standard output.
pub fn json(folder: &Path, arguments: &[&str]) -> serde_json::Value {
    serde_json::from_str(&ok(folder, arguments)).unwrap()
}
