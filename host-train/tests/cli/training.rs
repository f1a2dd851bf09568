//! Training as a person runs it: stopped, resumed, repeated, and refused.

use crate::common;
use crate::support::{fails, ok, program, trained};
use host_train::train::checkpoint::CHECKPOINT;

/// A folder with data, a configuration, and a sweep of two runs.
#[cfg(not(all(feature = "mpi", feature = "cuda")))]
fn folder_with_a_sweep() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    common::files(folder.path());
    let sweep = "base = \"tiny.toml\"\n[grid]\nseed = [1, 2]\n";
    std::fs::write(folder.path().join("sweep.toml"), sweep).unwrap();
    folder
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
    let process = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGINT).unwrap();
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
fn what_is_optimized_must_stay_the_same_on_resuming() {
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

#[cfg(not(feature = "mpi"))]
#[test]
fn a_build_without_mpi_says_how_to_make_one_with_it() {
    let folder = folder_with_a_sweep();
    for (command, file) in [("train", "tiny.toml"), ("sweep", "sweep.toml")] {
        let error = fails(folder.path(), &[command, file, "--mpi"]);
        assert!(error.contains("--features mpi (docs/mpi.md)"), "{error}");
    }
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
    assert!(error.contains("line 28") && error.contains("f16"), "{error}");
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_program_without_cuda_says_so() {
    let folder = folder_with_a_sweep();
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
