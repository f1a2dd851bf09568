use super::args::{Output, Source};
use super::print::{print, print_json};
use anyhow::{Context as _, Result};
use host_train::progress::Progress;
use host_train::train::distill::{DistillSettings, distill};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `host-train distill`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    source: Source,
    /// Chain steps of the last student: those of the run divided by a power of two
    #[arg(long, alias = "steps", default_value_t = 4)]
    chain_steps: usize,
    /// Folder for the students, t<steps>.safetensors each
    #[arg(long)]
    out: PathBuf,
    /// Optimizer steps of each stage
    #[arg(long, default_value_t = DistillSettings::default().updates)]
    updates: u64,
    /// Learning rate at the beginning of a stage
    #[arg(long, default_value_t = DistillSettings::default().rate)]
    rate: f64,
    /// Seed of batches, times and noise
    #[arg(long, default_value_t = DistillSettings::default().seed)]
    seed: u64,
    #[command(flatten)]
    output: Output,
}

impl Args {
    /// Runs the command.
    pub fn run(self, quiet: bool) -> Result<ExitCode> {
        let (run, split) = self.source.load()?;
        std::fs::create_dir_all(&self.out).with_context(|| format!("cannot make the folder {}", self.out.display()))?;
        let settings = DistillSettings {
            updates: self.updates,
            rate: self.rate,
            seed: self.seed,
            ..DistillSettings::default()
        };
        let mut students = Vec::new();
        let progress = Progress::new(0, "distilling").quiet_if(quiet);
        let report = |steps: usize, update: u64, loss: f32| {
            if update == 1 {
                progress.begin(&format!("student of {steps} steps"), self.updates);
            }
            progress.set(update, format!("{loss:.5} bits/dim from the teacher"));
        };
        distill(&run, &split.train, self.chain_steps, &settings, report, |student| {
            let path = self.out.join(format!("t{}.safetensors", student.gamma.steps()));
            student.save_weights(&path)?;
            students.push(path);
            Ok(())
        })?;
        progress.finish();
        if self.output.json {
            print_json(&json!({ "students": students }))?;
        } else {
            for path in &students {
                print(format_args!(
                    "{}: draws samples only; make a model file of it with `host-train export` or `quantize`",
                    path.display()
                ))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
