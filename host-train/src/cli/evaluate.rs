use super::args::{Data, Noise, Output};
use super::print::{print, print_json};
use anyhow::{Result, ensure};
use host_train::data::Dataset;
use host_train::export::source::open_model;
use host_train::progress::Progress;
use host_train::runtime::evaluate::{Evaluation, evaluate};
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `host-train evaluate`.
#[derive(clap::Args)]
pub struct Args {
    /// A model file (.vdm), or a checkpoint or the folder of a run (scored in f32)
    model: PathBuf,
    #[command(flatten)]
    data: Data,
    /// Score the training rows instead of the held-out rows
    #[arg(long)]
    train_rows: bool,
    /// Score only the first N rows
    #[arg(long, value_name = "N")]
    rows: Option<usize>,
    #[command(flatten)]
    noise: Noise,
    #[command(flatten)]
    output: Output,
}

impl Args {
    /// Runs the command.
    pub fn run(self, quiet: bool) -> Result<ExitCode> {
        let file = open_model(&self.model)?;
        let split = self.data.load(|| file.data())?;
        let mut rows = if self.train_rows { split.train } else { split.test };
        if let Some(limit) = self.rows {
            ensure!(limit >= 1, "--rows 0 leaves nothing to score: give at least 1");
            rows = first_rows(&rows, limit);
        }
        let progress = Progress::new(0, "scoring").quiet_if(quiet);
        let score = evaluate(&file, &rows, self.noise.draws, self.noise.seed, &progress)?;
        progress.finish();
        if self.output.json {
            print_json(&score)?;
        } else {
            print_score(&score)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn first_rows(data: &Dataset, limit: usize) -> Dataset {
    data.select(&(0..limit.min(data.len())).collect::<Vec<_>>())
}

fn print_score(score: &Evaluation) -> Result<()> {
    print(format_args!(
        "{} ({}, T = {}, {} calls of the network)",
        score.file, score.format, score.steps, score.calls
    ))?;
    print(format_args!(
        "  rows scored        {:>10} × {} draws",
        score.rows, score.draws
    ))?;
    print(format_args!(
        "  reconstruction     {:>10.4} bits/dim",
        score.reconstruction
    ))?;
    print(format_args!("  prior              {:>10.4}", score.prior))?;
    print(format_args!("  diffusion          {:>10.4}", score.diffusion))?;
    print(format_args!(
        "  negative ELBO      {:>10.4} ± {:.4}",
        score.bits_per_dim, score.standard_error
    ))?;
    if let Some(truth) = &score.truth {
        print(format_args!(
            "  the distribution   {:>10.4} on these rows, entropy {:.4}",
            truth.bits_per_dim, truth.entropy
        ))?;
        print(format_args!(
            "  gap                {:>10.4} nats per row",
            truth.gap_nats
        ))?;
    }
    print(format_args!("  file               {:>10} bytes", score.file_bytes))
}
