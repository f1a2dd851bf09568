use super::{load_data, print, print_json};
use anyhow::Result;
use candle_core::Device;
use host_train::study::estimator::{Estimate, Settings, measure};
use host_train::train::checkpoint::Run;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Args {
    /// A checkpoint, or the folder of a run
    checkpoint: PathBuf,
    /// Training rows, at most
    #[arg(long, default_value_t = Settings::default().rows)]
    rows: usize,
    /// Times and noises for each row
    #[arg(long, default_value_t = Settings::default().draws)]
    draws: usize,
    /// Batches as training draws them
    #[arg(long, default_value_t = Settings::default().batches)]
    batches: usize,
    /// Seed of the times and the noise
    #[arg(long, default_value_t = Settings::default().seed)]
    seed: u64,
    /// Take the data from this configuration instead of the checkpoint's own
    #[arg(long)]
    config: Option<PathBuf>,
    /// Print a JSON list of estimates and nothing else
    #[arg(long)]
    json: bool,
}

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        let run = Run::averaged(&self.checkpoint, &Device::Cpu)?;
        let split = load_data(|| Ok(run.config.data.clone()), self.config.as_deref())?;
        let settings = Settings {
            rows: self.rows,
            draws: self.draws,
            batches: self.batches,
            seed: self.seed,
        };
        let found = measure(&run, &split.train, &settings)?;
        if self.json {
            print_json(&found)?;
        } else {
            print("the diffusion term in bits/dim: from one time and noise of a training row, and from a batch")?;
            print(format_args!(
                "{:<10} {:>10} {:>9} {:>10} {:>15} {:>10} {:>15}",
                "gamma", "steps", "mean", "of a row", "variance / even", "of a batch", "variance / even"
            ))?;
            for estimate in &found {
                // Even steps come first among those of one T.
                let even = found
                    .iter()
                    .find(|other| other.steps == estimate.steps)
                    .unwrap_or(estimate);
                print(line(estimate, even))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn line(estimate: &Estimate, even: &Estimate) -> String {
    format!(
        "{:<10} {:>10} {:>9.4} {:>10.4} {:>15.4} {:>10.4} {:>15.4}",
        estimate.schedule.name(),
        estimate
            .steps
            .map_or("continuous".to_owned(), |steps| steps.to_string()),
        estimate.mean,
        estimate.deviation,
        (estimate.deviation / even.deviation).powi(2),
        estimate.of_batch,
        (estimate.of_batch / even.of_batch).powi(2)
    )
}
