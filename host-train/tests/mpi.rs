//! Two processes under `mpirun`: training and sweeps as one process does them, and ranks that die.

mod common;

use candle_core::Device;
use host_train::train::LOSSES;
use host_train::train::checkpoint::{CHECKPOINT, Run};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const PROGRAM: &str = env!("CARGO_BIN_EXE_host-train");

fn prepared(folder: &Path, program: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env("RAYON_NUM_THREADS", "1");
    command
}

/// Two ranks on any machine, as any user.
fn mpirun(folder: &Path) -> Command {
    let mut command = prepared(folder, "mpirun");
    command.args(["--allow-run-as-root", "--map-by", "slot:OVERSUBSCRIBE"]);
    command
}

fn plain(folder: &Path, arguments: &[&str]) -> Output {
    prepared(folder, PROGRAM).args(arguments).output().unwrap()
}

fn on_two(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = mpirun(folder);
    command.args(["-n", "2", PROGRAM]).args(arguments).arg("--mpi");
    command
        .output()
        .expect("mpirun cannot be started: install openmpi-bin, or leave out --features mpi")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn succeeded(output: Output) -> Output {
    assert!(output.status.success(), "{}", said(&output));
    output
}

fn resumed(folder: &Path) -> Run {
    Run::resume(&folder.join(CHECKPOINT), &Device::Cpu).unwrap()
}

fn values(run: &Run) -> Vec<f32> {
    let slots = run.optimizer.slots.iter();
    slots
        .flat_map(|slot| slot.state.get(0).unwrap().to_vec1::<f32>().unwrap())
        .collect()
}

/// Equal up to what the order of sums makes in forty steps of AdamW, whose rate is 0.003: a wrong row would move weights by that.
fn assert_alike(a: &Run, b: &Run) {
    assert_eq!((a.optimizer.step, &a.rng), (b.optimizer.step, &b.rng));
    let apart = values(a)
        .iter()
        .zip(values(b))
        .fold(0.0f32, |m, (x, y)| m.max((x - y).abs()));
    assert!(apart < 1e-3, "{apart}");
}

fn losses(folder: &Path) -> Vec<Vec<f64>> {
    let text = std::fs::read_to_string(folder.join(LOSSES)).unwrap();
    let rows = text.lines().skip(1);
    rows.map(|row| row.split(',').map(|v| v.parse().unwrap()).collect())
        .collect()
}

#[test]
fn two_ranks_train_what_one_process_trains() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    common::files(at);
    succeeded(plain(at, &["train", "tiny.toml", "--out", "one", "--json"]));
    let output = succeeded(on_two(at, &["train", "tiny.toml", "--out", "two", "--json"]));
    // The first rank alone speaks.
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["steps_trained"], 40);

    assert_alike(&resumed(&at.join("one")), &resumed(&at.join("two")));
    let (one, two) = (losses(&at.join("one")), losses(&at.join("two")));
    assert_eq!((one.len(), two.len()), (4, 4));
    for (a, b) in one.concat().iter().zip(two.concat()) {
        assert!((a - b).abs() <= 1e-4 * a.abs().max(0.1), "{a} {b}");
    }
}

#[test]
fn a_sweep_over_ranks_has_the_plain_sweeps_results() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    common::files(at);
    let sweep = "base = \"tiny.toml\"\n[grid]\nseed = [1, 2, 3]\n[random]\ncount = 1\n[random.draw]\n\"train.batch\" = [16, 24]\n";
    std::fs::write(at.join("sweep.toml"), sweep).unwrap();
    succeeded(plain(at, &["sweep", "sweep.toml", "--out", "plain"]));
    let output = succeeded(on_two(at, &["sweep", "sweep.toml", "--out", "ranks"]));
    assert!(String::from_utf8_lossy(&output.stdout).contains("3 runs"));
    let table = |name: &str| std::fs::read_to_string(at.join(name).join("results.csv")).unwrap();
    assert!(table("plain").contains(",done,40,"));
    assert_eq!(table("plain"), table("ranks"));
}

#[test]
fn a_mistake_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let output = on_two(folder.path(), &["train", "missing.toml"]);
    assert!(!output.status.success());
    let text = said(&output);
    assert_eq!(
        text.matches("cannot read the configuration missing.toml").count(),
        1,
        "{text}"
    );
}

/// Two ranks that would train for long, each with the number of its process in a file.
fn long_run(folder: &Path) -> Child {
    let path = common::files(folder);
    let text = std::fs::read_to_string(&path).unwrap();
    // A checkpoint after every step: a rank is likely to die while one is written.
    let text = text
        .replace("checkpoint_seconds = 60", "checkpoint_seconds = 0")
        .replace("steps = 40", "steps = 1000000");
    std::fs::write(&path, text).unwrap();
    let mut command = mpirun(folder);
    for rank in ["0", "1"] {
        let shell = format!("echo $$ > pid-{rank}; exec {PROGRAM} train tiny.toml --out run --mpi --json");
        command.args(["-n", "1", "sh", "-c", &shell, ":"]);
    }
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < PATIENCE, "{what} took too long");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn a_rank_dies(rank: usize) {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut job = long_run(at);
    let step = || Run::resume(&at.join("run").join(CHECKPOINT), &Device::Cpu).map_or(0, |run| run.optimizer.step);
    until("the third checkpoint", || step() >= 3);
    let pid = std::fs::read_to_string(at.join(format!("pid-{rank}"))).unwrap();
    let killed = Command::new("kill").args(["-KILL", pid.trim()]).status().unwrap();
    assert!(killed.success());
    until("the end of the other rank", || job.try_wait().unwrap().is_some());
    let output = job.wait_with_output().unwrap();
    assert!(!output.status.success());
    let text = said(&output);
    let sentence = "error: a rank does not answer, perhaps because it has died: the last checkpoint is whole, go on from it with: \
                    host-train train tiny.toml --out run --resume --mpi";
    assert_eq!(text.matches(sentence).count(), 1, "{text}");

    // Whole, and it goes on: here with one process.
    let reached = step();
    assert!(reached >= 3);
    let stop_at = (reached + 2).to_string();
    let output = plain(
        at,
        &["train", "tiny.toml", "--out", "run", "--resume", "--stop-at", &stop_at],
    );
    assert!(
        said(&output).contains(&format!("stopped at step {stop_at}")),
        "{}",
        said(&output)
    );
    assert_eq!(step(), reached + 2);
}

#[test]
fn the_second_rank_may_die() {
    a_rank_dies(1);
}

#[test]
fn the_first_rank_may_die() {
    a_rank_dies(0);
}
