use super::{failure, group, print, train};
use anyhow::{Context, Result, bail, ensure};
use host_train::files::write_atomically;
use host_train::parallel::{Group, agree};
use host_train::sweep::{Point, Sweep};
use host_train::train::Outcome;
use host_train::train::checkpoint::{CHECKPOINT, Run};
use host_train::{data, train::device};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const INTERRUPTED: u8 = 130;
/// What a run leaves in its folder.
const CONFIG: &str = "config.toml";
const RESULT: &str = "result.json";
const ERROR: &str = "error.txt";
/// What the sweep leaves.
const RESULTS: &str = "results.csv";

#[derive(clap::Args)]
pub struct Args {
    /// The sweep (TOML): a base configuration and what varies
    sweep: PathBuf,
    /// Folder for the runs and results.csv [default: runs/<name of the sweep>]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Runs at once, each a process of its own; the threads of the machine are divided among them
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Runs at once in this process, each on a thread and, with --cuda, on a stream of its own: how models too small to fill a GPU share one
    #[arg(long, value_name = "N", conflicts_with = "jobs")]
    together: Option<usize>,
    /// Train on the first NVIDIA GPU (needs a build with the `cuda` feature)
    #[arg(long)]
    cuda: bool,
    /// Do one part of several, as 2/4: every fourth run, from the second. Parts may run at the same time, on any machines that share the folder
    #[arg(long, default_value = "1/1")]
    part: Part,
    /// Divide the runs among the processes that mpirun or srun has started (needs a build with the `mpi` feature)
    #[arg(long, conflicts_with = "part")]
    mpi: bool,
    /// Say what would be run and run nothing
    #[arg(long)]
    dry_run: bool,
}

/// One part of several.
#[derive(Clone, Copy)]
struct Part {
    number: usize,
    of: usize,
}

impl std::str::FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').map(|(a, b)| (a.parse(), b.parse()));
        match numbers {
            Some((Ok(number), Ok(of))) if number >= 1 && number <= of => Ok(Self { number, of }),
            _ => Err("a part is written as 2/4, from 1/4 to 4/4".into()),
        }
    }
}

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        let group = group(self.mpi)?;
        failure::conclude(&*group, self.among(&*group))
    }

    fn among(&self, group: &dyn Group) -> Result<ExitCode> {
        let (points, folder) = agree(group, self.begun())?;
        let part = match self.mpi {
            true => Part {
                number: group.rank() + 1,
                of: group.size(),
            },
            false => self.part,
        };
        let mine: Vec<&Point> = points.iter().skip(part.number - 1).step_by(part.of).collect();
        if self.dry_run {
            for point in mine {
                let changes: Vec<String> = point
                    .changes
                    .iter()
                    .map(|(key, value)| format!("{key} = {value}"))
                    .collect();
                print(format_args!("{}: {}", point.name, changes.join(", ")))?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        let laid_out = mine
            .iter()
            .try_for_each(|point| lay_out(point, &folder.join(&point.name)));
        agree(group, laid_out)?;
        let done = self.train_all(&points, &mine, &folder);
        group.wait();
        let stopped = agree(group, done)?;
        let told = group.gather(u64::from(stopped));
        if !group.leads() {
            return Ok(ExitCode::SUCCESS);
        }
        // A rank's table may be older than another's last run.
        write_results(&points, &folder)?;
        if told.iter().any(|told| *told != 0) {
            eprintln!("stopped; the same command goes on");
            return Ok(ExitCode::from(INTERRUPTED));
        }
        let ours = if self.mpi { points.iter().collect() } else { mine };
        let failed = ours
            .iter()
            .filter(|p| folder.join(&p.name).join(ERROR).exists())
            .count();
        let results = folder.join(RESULTS);
        ensure!(
            failed == 0,
            "{failed} of {} runs failed: see {}",
            ours.len(),
            results.display()
        );
        print(format_args!("{}: {} runs", results.display(), ours.len()))?;
        Ok(ExitCode::SUCCESS)
    }

    /// The runs, and the folder for them.
    fn begun(&self) -> Result<(Vec<Point>, PathBuf)> {
        ensure!(self.jobs > 0, "--jobs is 0: at least 1 is needed");
        ensure!(self.together != Some(0), "--together is 0: at least 1 is needed");
        let points = Sweep::points(&self.sweep)?;
        let folder = match &self.out {
            Some(out) => out.clone(),
            None => Path::new("runs").join(self.sweep.file_stem().context("the sweep has no name")?),
        };
        Ok((points, folder))
    }

    /// Does the runs of `mine`; whether it was told to stop before their end.
    fn train_all(&self, points: &[Point], mine: &[&Point], folder: &Path) -> Result<bool> {
        let stop = Arc::new(AtomicBool::new(false));
        let handler = Arc::clone(&stop);
        // Processes get the same signal from the terminal. All write their checkpoints and end by themselves.
        ctrlc::set_handler(move || handler.store(true, Ordering::Relaxed)).context("Ctrl-C cannot be caught")?;
        if self.cuda {
            // Said once, and before any run is tried.
            device::select_device(true)?;
        }

        let (next, table) = (AtomicUsize::new(0), Mutex::new(()));
        let work = || -> Result<()> {
            while !stop.load(Ordering::Relaxed) {
                let Some(point) = mine.get(next.fetch_add(1, Ordering::Relaxed)) else {
                    break;
                };
                let at = folder.join(&point.name);
                match self.together {
                    Some(_) => together(point, &at, self.cuda, &stop)?,
                    None => self.train(point, &at)?,
                }
                let _one_at_a_time = table.lock();
                write_results(points, folder)?;
            }
            Ok(())
        };
        std::thread::scope(|scope| -> Result<()> {
            let workers: Vec<_> = (0..self.together.unwrap_or(self.jobs))
                .map(|_| scope.spawn(work))
                .collect();
            for worker in workers {
                match worker.join() {
                    Ok(result) => result?,
                    Err(_) => bail!("a run's supervisor broke off"),
                }
            }
            Ok(())
        })?;
        Ok(stop.load(Ordering::Relaxed))
    }

    /// One run as a process of its own, taken up where it was left.
    fn train(&self, point: &Point, folder: &Path) -> Result<()> {
        if folder.join(RESULT).exists() {
            return Ok(());
        }
        let own = std::env::current_exe().context("this program's own file is not known")?;
        let mut command = Command::new(own);
        command
            .arg("train")
            .arg(folder.join(CONFIG))
            .arg("--out")
            .arg(folder)
            .arg("--json");
        if folder.join(CHECKPOINT).exists() {
            command.arg("--resume");
        }
        if self.cuda {
            command.arg("--cuda");
        }
        if self.jobs > 1 && std::env::var_os("RAYON_NUM_THREADS").is_none() {
            let all = std::thread::available_parallelism().map_or(1, usize::from);
            command.env("RAYON_NUM_THREADS", (all / self.jobs).max(1).to_string());
        }
        let output = command
            .stdin(Stdio::null())
            .output()
            .context("a run could not be started")?;
        if output.status.success() {
            return succeeded(folder, &output.stdout);
        }
        if output.status.code() == Some(i32::from(INTERRUPTED)) {
            return Ok(());
        }
        failed(point, folder, &String::from_utf8_lossy(&output.stderr))
    }
}

/// One run in this process, taken up where it was left. What goes wrong in it is its own.
fn together(point: &Point, folder: &Path, cuda: bool, stop: &AtomicBool) -> Result<()> {
    if folder.join(RESULT).exists() {
        return Ok(());
    }
    match trained(point, folder, cuda, stop) {
        Ok(Some(result)) => succeeded(folder, format!("{result}\n").as_bytes()),
        Ok(None) => Ok(()),
        Err(error) => failed(
            point,
            folder,
            &format!(
                "error: {:#}\n",
                device::explain_memory_error(error, device::OUT_OF_MEMORY_ADVICE)
            ),
        ),
    }
}

/// What the run scores, or nothing if it was stopped.
fn trained(point: &Point, folder: &Path, cuda: bool, stop: &AtomicBool) -> Result<Option<Value>> {
    let device = device::select_device(cuda)?;
    let mut config = point.config.clone();
    device::require_counter_rng(&mut config, &device);
    let split = data::load(&config.data, folder)?;
    let checkpoint = folder.join(CHECKPOINT);
    let mut run = match checkpoint.exists() {
        true => {
            let mut run = Run::resume(&checkpoint, &device)?;
            run.set_train(config.train);
            run
        }
        false => Run::for_data(config, &split, &device)?,
    };
    match train::in_process(&mut run, &split, folder, stop)? {
        Outcome::Interrupted => Ok(None),
        Outcome::Finished => Ok(Some(train::result(&run, folder, &train::scored(&split, folder)?))),
    }
}

fn succeeded(folder: &Path, result: &[u8]) -> Result<()> {
    let error = folder.join(ERROR);
    if error.exists() {
        std::fs::remove_file(&error).with_context(|| format!("cannot remove {}", error.display()))?;
    }
    write_atomically(&folder.join(RESULT), |out| Ok(out.write_all(result)?))
}

fn failed(point: &Point, folder: &Path, said: &str) -> Result<()> {
    eprintln!(
        "run {} failed: {}",
        point.name,
        said.trim_end().lines().last().unwrap_or("it said nothing")
    );
    write_atomically(&folder.join(ERROR), |out| Ok(out.write_all(said.as_bytes())?))
}

/// Makes a run's folder, or finds it as an earlier call made it.
fn lay_out(point: &Point, folder: &Path) -> Result<()> {
    let path = folder.join(CONFIG);
    let text = point.config.to_toml()?;
    match std::fs::read_to_string(&path) {
        Ok(old) if old == text => Ok(()),
        Ok(_) => bail!(
            "{} is of another sweep, or this one has changed: give it another --out folder",
            path.display()
        ),
        Err(_) => {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
            write_atomically(&path, |out| Ok(out.write_all(text.as_bytes())?))
        }
    }
}

/// The table of all runs, from what lies in their folders.
fn write_results(points: &[Point], folder: &Path) -> Result<()> {
    const TERMS: [&str; 4] = ["bits_per_dim", "reconstruction", "prior", "diffusion"];
    let mut table = csv::Writer::from_writer(Vec::new());
    let keys = points.first().map(|p| p.changes.iter().map(|(key, _)| key.as_str()));
    let header = ["run"]
        .into_iter()
        .chain(keys.into_iter().flatten())
        .chain(["state", "steps"])
        .chain(TERMS);
    table.write_record(header)?;
    for point in points {
        let at = folder.join(&point.name);
        let result = std::fs::read_to_string(at.join(RESULT)).ok();
        let result: Option<Value> = result.and_then(|text| serde_json::from_str(&text).ok());
        let state = match &result {
            Some(_) => "done",
            None if at.join(ERROR).exists() => "failed",
            None if at.join(CHECKPOINT).exists() => "begun",
            None => "waiting",
        };
        let number = |value: Option<&Value>| value.map(Value::to_string).unwrap_or_default();
        let steps = number(result.as_ref().and_then(|r| r.get("steps_trained")));
        let term = |name: &str| number(result.as_ref().and_then(|r| r.get("held_out")?.get(name)));
        let mut record = vec![point.name.clone()];
        record.extend(point.changes.iter().map(|(_, value)| value.clone()));
        record.extend([state.to_owned(), steps]);
        record.extend(TERMS.map(term));
        table.write_record(&record)?;
    }
    let bytes = table.into_inner().context("the table of results could not be made")?;
    write_atomically(&folder.join(RESULTS), |out| Ok(out.write_all(&bytes)?))
}
