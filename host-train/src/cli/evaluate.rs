use super::args::{Data, Noise, Output, Part};
use super::print::{print, print_json};
use anyhow::{Result, ensure};
use host_train::data::{Dataset, load_more_rows};
use host_train::export::source::open_model;
use host_train::fit::report_reading;
use host_train::progress::Progress;
use host_train::runtime::evaluate::{Evaluation, evaluate, evaluate_rows};
use host_train::runtime::model_file::ModelFile;
use host_train::runtime::scores::write_scores;
use host_train::train::config::Config;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `host-train evaluate`.
#[derive(clap::Args)]
pub struct Args {
    /// A model file (.vdm), or a checkpoint or the folder of a run (scored in f32)
    model: PathBuf,
    #[command(flatten)]
    source: Data,
    /// Part of the data to score
    #[arg(long, value_enum, default_value = "test")]
    rows: Part,
    /// Score every row of this file instead: .csv, .csv.gz, .npy or .npz, in the units and columns of the data.
    /// `header`, `array` and `label_column` are those of the data
    #[arg(long, value_name = "FILE", conflicts_with = "rows")]
    data: Option<PathBuf>,
    /// Score only the first N rows
    #[arg(long, value_name = "N")]
    first: Option<usize>,
    /// Write the score of each row in nats to this .csv: the total, its terms, and the contribution of each dimension
    #[arg(long, value_name = "FILE")]
    scores: Option<PathBuf>,
    #[command(flatten)]
    noise: Noise,
    #[command(flatten)]
    output: Output,
}

impl Args {
    /// Runs the command.
    pub fn run(self, quiet: bool) -> Result<ExitCode> {
        let file = open_model(&self.model)?;
        let mut rows = self.read_rows(&file, quiet)?;
        if let Some(limit) = self.first {
            ensure!(limit >= 1, "--first 0 leaves nothing to score: give at least 1");
            rows = first_rows(&rows, limit);
        }
        let progress = Progress::new(0, "scoring").quiet_if(quiet);
        let Noise { draws, seed } = self.noise;
        let score = match &self.scores {
            None => evaluate(&file, &rows, draws, seed, &progress)?,
            Some(path) => {
                let (score, scores) = evaluate_rows(&file, &rows, (draws, seed), &progress)?;
                write_scores(path, &rows, &scores)?;
                score
            }
        };
        progress.finish();
        if self.output.json {
            print_json(&score)?;
        } else {
            print_score(&score)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Reads the rows to score.
    fn read_rows(&self, file: &ModelFile, quiet: bool) -> Result<Dataset> {
        if let Some(path) = &self.data {
            let own = match &self.source.config {
                Some(config) => Config::read(config)?.data,
                None => file.data().unwrap_or_default(),
            };
            let (rows, reading) = load_more_rows(path, &file.no_rows()?, &own)?;
            report_reading(&reading, quiet);
            return Ok(rows);
        }
        let split = self.source.load(|| file.data())?;
        self.rows.choose(split)
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
