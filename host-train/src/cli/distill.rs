use super::{load_data, print, print_json};
use anyhow::{Context as _, Result};
use candle_core::Device;
use host_train::train::checkpoint::Run;
use host_train::train::distill::{Settings, distill};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Args {
    /// A checkpoint, or the folder of a run
    checkpoint: PathBuf,
    /// Steps of the last student: those of the run divided by a power of two
    #[arg(long, default_value_t = 4)]
    steps: usize,
    /// Folder for the students, t<steps>.safetensors each
    #[arg(long)]
    out: PathBuf,
    /// Updates of each stage
    #[arg(long, default_value_t = Settings::default().updates)]
    updates: u64,
    /// Learning rate at the beginning of a stage
    #[arg(long, default_value_t = Settings::default().rate)]
    rate: f64,
    /// Seed of batches, times and noise
    #[arg(long, default_value_t = Settings::default().seed)]
    seed: u64,
    /// Take the data from this configuration instead of the checkpoint's own
    #[arg(long)]
    config: Option<PathBuf>,
    /// Print one JSON object and nothing else
    #[arg(long)]
    json: bool,
}

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        let run = Run::averaged(&self.checkpoint, &Device::Cpu)?;
        let split = load_data(|| Ok(run.config.data.clone()), self.config.as_deref())?;
        std::fs::create_dir_all(&self.out).with_context(|| format!("cannot make the folder {}", self.out.display()))?;
        let settings = Settings {
            updates: self.updates,
            rate: self.rate,
            seed: self.seed,
            ..Settings::default()
        };
        let mut students = Vec::new();
        let progress = |steps: usize, update: u64, loss: f32| {
            if !self.json && update.is_multiple_of(500) {
                eprintln!("{steps} steps, update {update}: {loss:.5} bits/dim from the teacher");
            }
        };
        distill(&run, &split.train, self.steps, &settings, progress, |student| {
            let path = self.out.join(format!("t{}.safetensors", student.gamma.steps()));
            student.save_weights(&path)?;
            students.push(path);
            Ok(())
        })?;
        if self.json {
            print_json(&json!({ "students": students }))?;
        } else {
            for path in &students {
                print(format_args!(
                    "{}: draws samples alone; make a model file of it with `host-train export` or `quantize`",
                    path.display()
                ))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
