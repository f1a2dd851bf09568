//! Two processes under `mpirun`: they train and sweep like one process, report errors once, and survive the death of a
//! rank.

mod common;

use candle_core::Device;
use host_train::train::LOSSES;
use host_train::train::checkpoint::{CHECKPOINT, Run};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Time limit that also suits a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const PROGRAM: &str = env!("CARGO_BIN_EXE_host-train");

fn command(folder: &Path, program: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env("RAYON_NUM_THREADS", "1");
    command
}

/// Returns `mpirun` for more ranks than cores, as any user.
fn mpirun(folder: &Path) -> Command {
    let mut command = command(folder, "mpirun");
    command.args(["--allow-run-as-root", "--map-by", "slot:OVERSUBSCRIBE"]);
    command
}

fn plain(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, PROGRAM).args(arguments).output().unwrap()
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

/// Checks that runs differ only by the order of sums in forty steps of AdamW. A wrong row would move weights by its
/// learning rate, 0.003.
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
    // Without validation rows their column is empty.
    let numbers = |row: &str| {
        let cells = row.split(',').filter(|cell| !cell.is_empty());
        cells.map(|cell| cell.parse().unwrap()).collect()
    };
    rows.map(numbers).collect()
}

#[test]
fn two_ranks_train_what_one_process_trains() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    common::files(at);
    succeeded(plain(at, &["train", "tiny.toml", "--out", "one", "--json"]));
    let output = succeeded(on_two(at, &["train", "tiny.toml", "--out", "two", "--json"]));
    // Only the first rank prints.
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
    let sweep = "base = \"tiny.toml\"\n[grid]\nseed = [1, 2, 3]\n\
                 [random]\ncount = 1\n[random.draw]\n\"train.batch\" = [16, 24]\n";
    std::fs::write(at.join("sweep.toml"), sweep).unwrap();
    succeeded(plain(at, &["sweep", "sweep.toml", "--out", "plain"]));
    let output = succeeded(on_two(at, &["sweep", "sweep.toml", "--out", "ranks"]));
    assert!(String::from_utf8_lossy(&output.stdout).contains("3 runs"));
    let table = |name: &str| std::fs::read_to_string(at.join(name).join("results.csv")).unwrap();
    assert!(table("plain").contains(",done,40,"));
    assert_eq!(table("plain"), table("ranks"));
}

/// Time in which the rank that prints is held up: enough for the others to start and to leave.
const HOLD_UP: Duration = Duration::from_secs(5);

/// `mpirun` kills all ranks once one has left with an error, so none may leave before the error is printed.
#[test]
fn no_rank_leaves_before_an_error_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    // The first rank prints into a full pipe, so it is held up until the pipe is read.
    let full = format!("/proc/{}/fd/{}", std::process::id(), writer.as_raw_fd());
    let filler = std::thread::spawn(move || writer.write_all(&[b'.'; 1 << 20]));
    let mut job = mpirun(folder.path());
    for redirection in [format!("2>{full}"), String::new()] {
        let shell = format!("exec {PROGRAM} train missing.toml --mpi {redirection}");
        job.args(["-n", "1", "sh", "-c", &shell, ":"]);
    }
    let job = job.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(HOLD_UP);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    filler.join().unwrap().unwrap();
    assert!(!job.wait_with_output().unwrap().status.success());
    let text = text.replace('.', "");
    assert_eq!(
        text.matches("cannot read the configuration missingtoml").count(),
        1,
        "{text}"
    );
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

/// Starts two ranks that would train for a long time. Each writes the number of its process into a file.
fn long_run(folder: &Path) -> Child {
    let path = common::files(folder);
    let text = std::fs::read_to_string(&path).unwrap();
    // A checkpoint after every step makes it likely that a rank dies while one is written.
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
    kill(Pid::from_raw(pid.trim().parse().unwrap()), Signal::SIGKILL).unwrap();
    until("the end of the other rank", || job.try_wait().unwrap().is_some());
    let output = job.wait_with_output().unwrap();
    assert!(!output.status.success());
    let text = said(&output);
    let sentence = "error: a rank does not answer, perhaps because it has died: the last checkpoint is whole, \
                    go on from it with: host-train train tiny.toml --out run --resume --mpi";
    assert_eq!(text.matches(sentence).count(), 1, "{text}");

    // The checkpoint is whole, and one process can go on from it.
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
