use super::args::{GpuChoice, Output};
use super::print::{print, print_json};
use anyhow::{Context, Result, ensure};
use host_train::bench::{BenchRow, Contest, ContestSettings, Entry, Task, hidden_width, serve};
use host_train::files::write_atomically;
use host_train::fused::device::Products;
use host_train::fused::lanes::Activation;
use host_train::progress::Progress;
use host_train::report::{Line, lines_chart};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Help of `--cuda`, which here changes what is measured.
const ON_GPU: &str = "Measure on the first NVIDIA GPU instead: this program kernel by kernel and as a CUDA graph (needs \
    a build with the `cuda` feature), and PyTorch eager, compiled and as a CUDA graph";

/// Arguments of `host-train bench`.
#[derive(clap::Args)]
#[command(mut_arg("cuda", |cuda| cuda.help(ON_GPU)))]
pub struct Args {
    /// Rows of each of the three hidden layers
    #[arg(long, value_delimiter = ',', default_values_t = [64, 256, 1024])]
    widths: Vec<usize>,
    /// Rows of a batch [default: 256,4096, and with --cuda 65536, which takes seconds per step on a CPU at width 1024]
    #[arg(long, value_delimiter = ',')]
    batches: Vec<usize>,
    /// Activations of the hidden layers
    #[arg(long, value_delimiter = ',', value_enum, default_values = ["relu", "silu"])]
    activations: Vec<Activation>,
    /// Threads of each program
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2])]
    threads: Vec<usize>,
    /// Timed runs per program; the fastest counts
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds per run
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Python with PyTorch; without PyTorch only this program is measured
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    #[command(flatten)]
    gpu: GpuChoice,
    /// Number format of the products on the GPU
    #[arg(long, value_enum, default_value = "f32", requires = "cuda")]
    products: Products,
    /// Leave out candle's own operations
    #[arg(long)]
    no_candle: bool,
    /// Draw the loss curves of all contenders into this folder, one SVG per network
    #[arg(long)]
    curves: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
    /// Act as a contender: answer requests from standard input
    #[arg(long, hide = true)]
    worker: bool,
}

impl Args {
    /// Runs the command.
    pub fn run(self, quiet: bool) -> Result<ExitCode> {
        if self.worker {
            serve(std::io::stdin().lock(), std::io::stdout().lock(), self.gpu.cuda)?;
            return Ok(ExitCode::SUCCESS);
        }
        ensure!(
            self.rounds > 0 && self.seconds > 0.0 && self.seconds.is_finite(),
            "--rounds and --seconds must be above 0"
        );
        let batches = match (self.batches.is_empty(), self.gpu.cuda) {
            (false, _) => self.batches.clone(),
            (true, false) => vec![256, 4096],
            (true, true) => vec![256, 4096, 65536],
        };
        let zero = [&self.widths, &self.batches, &self.threads]
            .iter()
            .any(|list| list.contains(&0));
        ensure!(!zero, "--widths, --batches and --threads must be above 0");
        if let Some(folder) = &self.curves {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        }
        let scratch = tempfile::tempdir().context("the folder for temporary files cannot be used")?;
        let settings = ContestSettings {
            python: self.python.clone(),
            cuda: self.gpu.cuda,
            no_candle: self.no_candle,
            rounds: self.rounds,
            seconds: self.seconds,
        };
        let progress = Progress::new(0, "starting the contenders").quiet_if(quiet);
        let mut rows = Vec::new();
        if !self.output.json {
            print(
                "| width | batch | activation | threads | contender | steps/s | samples/s | GFLOP/s | of matrix rate | fused is faster by | loss differs by |\n\
                 |---|---|---|---|---|---|---|---|---|---|---|",
            )?;
        }
        for &threads in &self.threads {
            let mut contest = Contest::start(&settings, threads, scratch.path())?;
            for &width in &self.widths {
                for &batch in &batches {
                    for &activation in &self.activations {
                        let task = Task::new(width, batch, activation, self.products);
                        task.write(scratch.path(), 1)?;
                        let entries = contest.measure(&task, scratch.path(), &progress)?;
                        if let Some(folder) = &self.curves {
                            draw(&entries, &task, threads, folder)?;
                        }
                        for row in contest.rows(&task, &entries) {
                            if !self.output.json {
                                progress.suspend(|| print(line(&row)))?;
                            }
                            rows.push(row);
                        }
                    }
                }
            }
        }
        progress.finish();
        if self.output.json {
            print_json(&rows)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn line(row: &BenchRow) -> String {
    format!(
        "| {} | {} | {:?} | {} | {} | {:.1} | {:.0} | {:.1} | {:.0} % | {:.2}× | {:.1e} |",
        row.width,
        row.batch,
        row.activation,
        row.threads,
        row.contender,
        row.steps_per_second,
        row.samples_per_second,
        row.gflops,
        100.0 * row.of_rate,
        row.fused_ratio,
        row.loss_difference
    )
}

fn draw(entries: &[Entry], task: &Task, threads: usize, folder: &Path) -> Result<()> {
    let line = |entry: &Entry| Line {
        name: entry.name.clone(),
        points: entry
            .losses
            .iter()
            .enumerate()
            .map(|(step, loss)| ((step + 1) as f64, *loss))
            .collect(),
    };
    let lines: Vec<Line> = entries.iter().map(line).collect();
    let svg = lines_chart(&lines, "steps", "loss")?;
    let width = hidden_width(task);
    let name = format!("{width}-{}-{:?}-{threads}.svg", task.batch, task.activation).to_lowercase();
    write_atomically(&folder.join(name), |out| Ok(out.write_all(svg.as_bytes())?))
}
