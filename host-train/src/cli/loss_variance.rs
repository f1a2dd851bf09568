use super::args::{Output, Source};
use super::print::{print, print_json};
use anyhow::Result;
use host_train::progress::Progress;
use host_train::study::estimator::{Estimate, EstimatorSettings, measure_estimates};
use std::process::ExitCode;

/// Arguments of `host-train loss-variance`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    source: Source,
    /// Largest number of training rows
    #[arg(long, default_value_t = EstimatorSettings::default().rows)]
    rows: usize,
    /// Times and noises for each row
    #[arg(long, default_value_t = EstimatorSettings::default().draws)]
    draws: usize,
    /// Number of training batches
    #[arg(long, default_value_t = EstimatorSettings::default().batches)]
    batches: usize,
    /// Seed of the times and the noise
    #[arg(long, default_value_t = EstimatorSettings::default().seed)]
    seed: u64,
    #[command(flatten)]
    output: Output,
}

impl Args {
    /// Runs the command.
    pub fn run(self, quiet: bool) -> Result<ExitCode> {
        let (run, split) = self.source.load()?;
        let settings = EstimatorSettings {
            rows: self.rows,
            draws: self.draws,
            batches: self.batches,
            seed: self.seed,
        };
        let progress = Progress::new(0, "measuring").quiet_if(quiet);
        let found = measure_estimates(&run, &split.train, &settings, &progress)?;
        progress.finish();
        if self.output.json {
            print_json(&found)?;
        } else {
            print_table(&found)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print_table(found: &[Estimate]) -> Result<()> {
    print("diffusion term in bits/dim, from one time and noise of a training row, and from a batch")?;
    print(format_args!(
        "{:<10} {:>10} {:>9} {:>10} {:>15} {:>10} {:>15}",
        "gamma", "steps", "mean", "of a row", "variance / even", "of a batch", "variance / even"
    ))?;
    for estimate in found {
        // Even steps come first among those of one T.
        let even = found
            .iter()
            .find(|other| other.steps == estimate.steps)
            .unwrap_or(estimate);
        print(line(estimate, even))?;
    }
    Ok(())
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
        estimate.batch_deviation,
        (estimate.batch_deviation / even.batch_deviation).powi(2)
    )
}
