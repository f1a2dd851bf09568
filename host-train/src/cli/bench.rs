use super::{print, print_json};
use anyhow::{Context, Result, ensure};
use host_train::bench::{Partner, SCRIPT, Task, serve};
use host_train::files::write_atomically;
use host_train::fused::device::Products;
use host_train::fused::lanes::Activation;
use host_train::report::{Line, lines_chart};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

#[derive(clap::Args)]
pub struct Args {
    /// Rows of each of the three hidden layers
    #[arg(long, value_delimiter = ',', default_values_t = [64, 256, 1024])]
    widths: Vec<usize>,
    /// Rows of a batch [default: 256,4096, and with --cuda 65536, which takes a CPU seconds per step at width 1024]
    #[arg(long, value_delimiter = ',')]
    batches: Vec<usize>,
    /// Activations of the hidden layers
    #[arg(long, value_delimiter = ',', value_enum, default_values = ["relu", "silu"])]
    activations: Vec<Activation>,
    /// Threads of each contender
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2])]
    threads: Vec<usize>,
    /// Times that the contenders take turns; the fastest turn of each counts
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of a turn
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Python with PyTorch; without it only this program is measured
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// Measure on the first NVIDIA GPU instead: this program kernel by kernel and as a CUDA graph (needs a build with the `cuda` feature), and
    /// PyTorch eager, compiled and as a CUDA graph
    #[arg(long)]
    cuda: bool,
    /// How the GPU multiplies
    #[arg(long, value_enum, default_value = "f32", requires = "cuda")]
    products: Products,
    /// Leave out candle's own operations
    #[arg(long)]
    no_candle: bool,
    /// Draw the loss curves of all contenders over one another into this folder, one SVG per network
    #[arg(long)]
    curves: Option<PathBuf>,
    /// Print a JSON list, one object per network and contender, and nothing else
    #[arg(long)]
    json: bool,
    /// Be a contender: answer requests from standard input
    #[arg(long, hide = true)]
    worker: bool,
}

/// Steps whose losses are compared, at most.
const COMPARED: u64 = 200;
/// Seconds that they may take.
const COMPARING: f64 = 10.0;

/// What one contender reached.
#[derive(Serialize)]
struct Row {
    width: usize,
    batch: usize,
    activation: Activation,
    threads: usize,
    contender: String,
    steps_per_second: f64,
    samples_per_second: f64,
    /// Floating-point operations of the products per second, 1e9.
    gflops: f64,
    /// Those by the fastest that this contender or another multiplies large matrices on the same device.
    of_rate: f64,
    /// Steps per second of this program's first mode (fused, on a GPU as a graph) by this contender's, both at their fastest.
    fused_ratio: f64,
    /// Largest difference of the mean loss of a tenth of the compared steps, relative to that mode's own.
    loss_difference: f64,
}

/// A contender in one of its modes, with its measurements.
struct Entry {
    partner: usize,
    name: String,
    losses: Vec<f64>,
    /// Seconds of a step, the fastest so far.
    best: f64,
    /// Operations per second of large products, the most so far.
    rate: f64,
}

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        if self.worker {
            serve(std::io::stdin().lock(), std::io::stdout().lock(), self.cuda)?;
            return Ok(ExitCode::SUCCESS);
        }
        ensure!(
            self.rounds > 0 && self.seconds > 0.0 && self.seconds.is_finite(),
            "--rounds and --seconds must be above 0"
        );
        let batches = match (self.batches.is_empty(), self.cuda) {
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
        let scratch = tempfile::tempdir().context("there is no place for temporary files")?;
        let script = scratch.path().join("partner.py");
        std::fs::write(&script, SCRIPT).with_context(|| format!("cannot write {}", script.display()))?;
        let mut rows = Vec::new();
        if !self.json {
            print(
                "| width | batch | activation | threads | contender | steps/s | samples/s | GFLOP/s | of matrix rate | fused is faster by | loss differs by |\n\
                 |---|---|---|---|---|---|---|---|---|---|---|",
            )?;
        }
        for &threads in &self.threads {
            let mut partners = self.partners(threads, &script)?;
            for &width in &self.widths {
                for &batch in &batches {
                    for &activation in &self.activations {
                        let task = Task::new(width, batch, activation, self.products);
                        task.write(scratch.path(), 1)?;
                        for row in self.measure(&task, threads, &mut partners, scratch.path())? {
                            if !self.json {
                                print(row.line())?;
                            }
                            rows.push(row);
                        }
                    }
                }
            }
        }
        if self.json {
            print_json(&rows)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The processes that take part, each in one mode; this program's fastest is the first.
    fn partners(&self, threads: usize, script: &Path) -> Result<Vec<(Partner, &'static str)>> {
        let own = std::env::current_exe().context("this program's own file is not known")?;
        let mut partners = Vec::new();
        let modes: &[&'static str] = match (self.cuda, self.no_candle) {
            (false, true) => &["fused"],
            (false, false) => &["fused", "candle"],
            (true, true) => &["graphs", "fused"],
            (true, false) => &["graphs", "fused", "candle"],
        };
        for mode in modes {
            let mut command = Command::new(&own);
            command
                .args(["bench", "--worker"])
                .env("RAYON_NUM_THREADS", threads.to_string());
            if self.cuda {
                command.arg("--cuda");
            }
            partners.push((Partner::start(&mut command)?, *mode));
        }
        let others: &[(&str, &'static str)] = match self.cuda {
            false => &[("cpu", "eager"), ("cpu", "compiled")],
            true => &[("cuda", "eager"), ("cuda", "compiled"), ("cuda", "graphs")],
        };
        for &(device, mode) in others {
            let mut command = Command::new(&self.python);
            command.arg("-u").arg(script).arg(threads.to_string()).arg(device);
            for variable in ["OMP_NUM_THREADS", "MKL_NUM_THREADS"] {
                command.env(variable, threads.to_string());
            }
            match Partner::start(&mut command) {
                Ok(partner) => partners.push((partner, mode)),
                Err(error) => eprintln!(
                    "PyTorch ({device}, {mode}) is not measured: {error:#}; name a Python that has it with --python"
                ),
            }
        }
        Ok(partners)
    }

    fn measure(
        &self,
        task: &Task,
        threads: usize,
        partners: &mut [(Partner, &'static str)],
        folder: &Path,
    ) -> Result<Vec<Row>> {
        let mut entries = Vec::new();
        for (index, (partner, mode)) in partners.iter_mut().enumerate() {
            match self.begin(partner, mode, task, folder) {
                Ok((losses, best, rate)) => entries.push(Entry {
                    partner: index,
                    name: format!("{}, {mode}", partner.name()),
                    losses,
                    best,
                    rate,
                }),
                Err(error) => eprintln!("{mode} is not measured: {error:#}"),
            }
        }
        for _ in 0..self.rounds {
            for entry in &mut entries {
                let Some((partner, _)) = partners.get_mut(entry.partner) else {
                    continue;
                };
                // Threads of whoever was last may still be spinning.
                std::thread::sleep(Duration::from_millis(250));
                let steps = (self.seconds / entry.best).ceil().max(1.0);
                entry.best = entry.best.min(partner.time(steps as u64)? / steps);
                entry.rate = entry.rate.max(partner.rate()?);
            }
        }
        if let Some(folder) = &self.curves {
            draw(&entries, task, threads, folder)?;
        }
        let Some(first) = entries.first() else {
            return Ok(Vec::new());
        };
        // All contenders of a call are on one device.
        let rate = entries.iter().map(|entry| entry.rate).fold(0.0, f64::max);
        let row = |entry: &Entry| Row {
            width: task.widths.get(1).copied().unwrap_or_default(),
            batch: task.batch,
            activation: task.activation,
            threads,
            contender: entry.name.clone(),
            steps_per_second: 1.0 / entry.best,
            samples_per_second: task.batch as f64 / entry.best,
            gflops: task.operations() / entry.best * 1e-9,
            of_rate: task.operations() / entry.best / rate,
            fused_ratio: entry.best / first.best,
            loss_difference: difference(&entry.losses, &first.losses),
        };
        Ok(entries.iter().map(row).collect())
    }

    /// The losses from the start on, the seconds of a step, and operations per second of large products.
    fn begin(&self, partner: &mut Partner, mode: &str, task: &Task, folder: &Path) -> Result<(Vec<f64>, f64, f64)> {
        partner.prepare(mode, task, folder)?;
        // What compiles or is captured does it now.
        partner.time(5)?;
        let rate = partner.rate()?;
        let pace = partner.time(3)? / 3.0;
        partner.prepare(mode, task, folder)?;
        // All contenders compare as many steps, so the number may not depend on how fast one is.
        let guess = task.operations() / 20e9;
        let steps = COMPARED.min((COMPARING / guess) as u64).max(4);
        Ok((partner.losses(steps)?, pace, rate))
    }
}

impl Row {
    fn line(&self) -> String {
        format!(
            "| {} | {} | {:?} | {} | {} | {:.1} | {:.0} | {:.1} | {:.0} % | {:.2}× | {:.1e} |",
            self.width,
            self.batch,
            self.activation,
            self.threads,
            self.contender,
            self.steps_per_second,
            self.samples_per_second,
            self.gflops,
            100.0 * self.of_rate,
            self.fused_ratio,
            self.loss_difference
        )
    }
}

/// The largest difference between two curves, smoothed over a tenth of them, relative to the second.
fn difference(a: &[f64], b: &[f64]) -> f64 {
    let window = (a.len() / 10).max(1);
    let pairs = a.chunks(window).zip(b.chunks(window));
    let apart = pairs.map(|(a, b)| {
        let (a, b) = (a.iter().sum::<f64>(), b.iter().sum::<f64>());
        (a - b).abs() / b.abs()
    });
    apart.fold(0.0, f64::max)
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
    let width = task.widths.get(1).copied().unwrap_or_default();
    let name = format!("{width}-{}-{:?}-{threads}.svg", task.batch, task.activation).to_lowercase();
    write_atomically(&folder.join(name), |out| Ok(out.write_all(svg.as_bytes())?))
}
