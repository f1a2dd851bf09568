use super::args::{GpuChoice, Ranks};
use super::failure::conclude;
use super::interrupt::interrupted;
use super::print::print;
use super::train::open_group;
use anyhow::{Context, Result, ensure};
use host_train::data::load;
use host_train::fit::report_reading;
use host_train::parallel::{Group, agree};
use host_train::progress::Progress;
use host_train::sweep::results::{RESULTS, best_run, count_failed, prepare_folder, write_results};
use host_train::sweep::workers::Workers;
use host_train::sweep::{Point, Sweep};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Arguments of `host-train sweep`.
#[derive(clap::Args)]
pub struct Args {
    /// The sweep (TOML): a base configuration and the values that vary
    sweep: PathBuf,
    /// Folder for the runs and results.csv [default: runs/<name of the sweep>]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Runs at once, each a process of its own; the threads of the machine are divided among them
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Runs at once in this process, each on a thread and, with --cuda, on a stream of its own: several models that are
    /// too small to fill a GPU share it
    #[arg(long, value_name = "N", conflicts_with = "jobs")]
    together: Option<usize>,
    #[command(flatten)]
    gpu: GpuChoice,
    /// Train one part of several, as 2/4: every fourth run, from the second. Parts may run at the same time, on any
    /// machines that share the folder
    #[arg(long, default_value = "1/1", conflicts_with = "mpi")]
    part: Part,
    #[command(flatten)]
    ranks: Ranks,
    /// List the runs and train nothing
    #[arg(long)]
    dry_run: bool,
}

/// One part of a sweep.
#[derive(Clone, Copy)]
struct Part {
    number: usize,
    count: usize,
}

impl std::str::FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').map(|(a, b)| (a.parse(), b.parse()));
        match numbers {
            Some((Ok(number), Ok(count))) if number >= 1 && number <= count => Ok(Self { number, count }),
            _ => Err("a part is written as 2/4, from 1/4 to 4/4".into()),
        }
    }
}

impl Args {
    /// Runs the command.
    pub fn run(self, quiet: bool) -> Result<ExitCode> {
        let group = open_group(self.ranks.mpi)?;
        conclude(&*group, self.run_in(&*group, quiet))
    }

    fn run_in(&self, group: &dyn Group, quiet: bool) -> Result<ExitCode> {
        let (points, folder) = agree(group, self.points())?;
        let part = match self.ranks.mpi {
            true => Part {
                number: group.rank() + 1,
                count: group.size(),
            },
            false => self.part,
        };
        let mine: Vec<&Point> = points.iter().skip(part.number - 1).step_by(part.count).collect();
        if self.dry_run {
            mine.into_iter().try_for_each(print_point)?;
            return Ok(ExitCode::SUCCESS);
        }
        if group.leads() {
            report_data(&mine, quiet);
        }
        let prepared = mine
            .iter()
            .try_for_each(|point| prepare_folder(point, &folder.join(&point.name)));
        agree(group, prepared)?;
        let trained = self.train(&points, &mine, &folder, quiet || !group.leads());
        group.wait();
        let stopped = agree(group, trained)?;
        let stopped = group.gather(u64::from(stopped));
        if !group.leads() {
            return Ok(ExitCode::SUCCESS);
        }
        // A rank's table may be older than another's last run.
        write_results(&points, &folder)?;
        if stopped.iter().any(|stopped| *stopped != 0) {
            eprintln!("stopped; the same command resumes the sweep");
            return Ok(interrupted());
        }
        let ours = if self.ranks.mpi { points.iter().collect() } else { mine };
        let failed = count_failed(ours.iter().copied(), &folder);
        let results = folder.join(RESULTS);
        ensure!(
            failed == 0,
            "{failed} of {} runs failed: see {}",
            ours.len(),
            results.display()
        );
        print(format_args!("{}: {} runs", results.display(), ours.len()))?;
        if let Some((point, bits)) = best_run(&points, &folder) {
            print(format_args!(
                "best on the validation rows: {}, ELBO {bits:.4} bits/dim",
                describe(point)
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Reads the runs, and names the folder for them.
    fn points(&self) -> Result<(Vec<Point>, PathBuf)> {
        ensure!(self.jobs > 0, "--jobs is 0: at least 1 is needed");
        ensure!(self.together != Some(0), "--together is 0: at least 1 is needed");
        let points = Sweep::points(&self.sweep)?;
        let folder = match &self.out {
            Some(out) => out.clone(),
            None => Path::new("runs").join(self.sweep.file_stem().context("the sweep has no name")?),
        };
        Ok((points, folder))
    }

    /// Trains the runs `mine`; returns whether Ctrl-C has stopped them before their end.
    fn train(&self, points: &[Point], mine: &[&Point], folder: &Path, quiet: bool) -> Result<bool> {
        let stop = Arc::new(AtomicBool::new(false));
        let handler = Arc::clone(&stop);
        // Processes get the same signal from the terminal. All write their checkpoints and end by themselves.
        ctrlc::set_handler(move || handler.store(true, Ordering::Relaxed)).context("Ctrl-C cannot be caught")?;
        let workers = Workers {
            jobs: self.jobs,
            together: self.together,
            cuda: self.gpu.cuda,
        };
        let progress = Progress::new(0, "sweep").quiet_if(quiet);
        let stopped = workers.train_all(points, mine, folder, &stop, &progress)?;
        progress.finish();
        Ok(stopped)
    }
}

/// Reports what the runs learn from, which they themselves print nowhere. The first stands for all; a fault in its data
/// is reported as that of its run.
fn report_data(points: &[&Point], quiet: bool) {
    let split = points.first().map(|point| load(&point.config.data, Path::new("")));
    if let Some(Ok(split)) = split {
        report_reading(&split.reading, quiet);
    }
}

fn print_point(point: &Point) -> Result<()> {
    print(describe(point))
}

fn describe(point: &Point) -> String {
    let changes: Vec<String> = point
        .changes
        .iter()
        .map(|(key, value)| format!("{key} = {value}"))
        .collect();
    format!("{}: {}", point.name, changes.join(", "))
}
