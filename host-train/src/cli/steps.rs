use super::args::{FineTuneChoice, Output, Source, format_parser};
use super::print::{print, print_exported, print_json};
use ancestral::FormatId;
use anyhow::{Context as _, Result, ensure};
use host_train::data::Split;
use host_train::export::source::keep_data_from;
use host_train::export::{Recipe, export};
use host_train::files::write_atomically;
use host_train::model::variance::{VARIANCES, VarianceKind};
use host_train::progress::Progress;
use host_train::report::steps_chart;
use host_train::runtime::evaluate::evaluate;
use host_train::runtime::model_file::ModelFile;
use host_train::study::paths::{PATHS, Path};
use host_train::study::step_search::{SearchSettings, StepSearch, cheapest_table};
use host_train::study::table::ChosenSteps;
use std::path::PathBuf;
use std::process::ExitCode;

/// Noise draws per row and step of the models in the chart.
const TRAINED_DRAWS: u32 = 4;

/// Arguments of `host-train choose-steps`.
#[derive(clap::Args)]
#[command(mut_arg("finetune", |finetune| finetune.requires("out")))]
pub struct Args {
    #[command(flatten)]
    source: Source,
    /// Numbers of chain steps to choose
    #[arg(long, alias = "steps", value_delimiter = ',', default_value = "2,4,8,16,32,64")]
    chain_steps: Vec<usize>,
    /// Points of the grid of gamma
    #[arg(long, default_value_t = SearchSettings::default().grid)]
    grid: usize,
    /// Noise draws per row and point of the grid
    #[arg(long, default_value_t = SearchSettings::default().draws)]
    draws: usize,
    /// Seed of the noise
    #[arg(long, default_value_t = SearchSettings::default().seed)]
    seed: u64,
    /// Draw the ELBO against T into this SVG
    #[arg(long)]
    chart: Option<PathBuf>,
    /// Model files that were trained for their number of steps, for a line of their own in the chart
    #[arg(long, value_delimiter = ',', requires = "chart")]
    trained: Vec<PathBuf>,
    /// Write a model file with the table that is expected to be the cheapest; needs a single number of --chain-steps
    #[arg(long)]
    out: Option<PathBuf>,
    /// Number format of that file
    #[arg(long, value_parser = format_parser(), default_value = "f32", requires = "out")]
    format: FormatId,
    #[command(flatten)]
    finetuning: FineTuneChoice,
    #[command(flatten)]
    output: Output,
}

impl Args {
    /// Runs the command.
    pub fn run(self, quiet: bool) -> Result<ExitCode> {
        ensure!(
            self.out.is_none() || self.chain_steps.len() == 1,
            "--out writes one model: give one number of --chain-steps"
        );
        let (mut run, split) = self.source.load()?;
        if let Some(out) = &self.out {
            keep_data_from(&mut run, out);
        }
        let settings = SearchSettings {
            grid: self.grid,
            draws: self.draws,
            seed: self.seed,
        };
        let progress = Progress::new(0, "measuring").quiet_if(quiet);
        let search = StepSearch::new(&run, &split, &settings, &progress)?;
        let tables = search.tables(&self.chain_steps, &progress)?;
        if let Some(path) = &self.chart {
            let trained = self.score_trained(&split, &progress)?;
            let svg = steps_chart(&tables, search.limit()?, &trained, "bits/dim")?;
            write_atomically(path, |out| Ok(out.write_all(svg.as_bytes())?))?;
        }
        progress.finish();
        if self.output.json {
            print_json(&tables)?;
        } else {
            self.print(&tables, search.limit()?)?;
        }
        if let Some(out) = &self.out {
            let recipe = Recipe {
                format: self.format,
                finetune: self.finetuning.settings(),
                table: Some(
                    cheapest_table(&tables)
                        .context("no table was searched: give the number of steps with --chain-steps")?,
                ),
            };
            let progress = Progress::new(0, "exporting").quiet_if(quiet);
            let exported = export(&run, &recipe, &split.train, &progress)?;
            progress.finish();
            exported.write(out)?;
            if !self.output.json {
                print_exported(out, self.format, &exported, false)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Returns T and negative ELBO of the models that were trained for their number of steps.
    fn score_trained(&self, split: &Split, progress: &Progress) -> Result<Vec<(usize, f64)>> {
        let mut trained = Vec::new();
        for file in &self.trained {
            let score = evaluate(&ModelFile::read(file)?, &split.test, TRAINED_DRAWS, self.seed, progress)?;
            trained.push((score.steps, score.bits_per_dim));
        }
        trained.sort_by_key(|point| point.0);
        Ok(trained)
    }

    fn print(&self, tables: &[ChosenSteps], limit: f64) -> Result<()> {
        print("negative ELBO on held-out rows in bits/dim; everything is chosen on other rows")?;
        let steps = self.chain_steps.iter();
        let heads: String = steps.map(|t| format!("{:>9}", format!("T={t}"))).collect();
        print(format_args!("{:<10} {:<11}{heads}", "gamma", "variance"))?;
        let row = |path: Path, variance: VarianceKind| {
            let row = tables.iter().filter(|t| t.path == path && t.variance == variance);
            row.map(|t| format!("{:>9.4}", t.test_bits_per_dim)).collect::<String>()
        };
        for path in PATHS {
            for variance in VARIANCES {
                print(format_args!(
                    "{:<10} {:<11}{}",
                    path.name(),
                    variance.name(),
                    row(path, variance)
                ))?;
            }
        }
        print(format_args!("infinitely many steps of the same network: {limit:.4}"))?;
        if tables.iter().any(|table| table.calls > table.steps) {
            print("the decoder is the network: a sample costs T + 1 calls of it")?;
        }
        Ok(())
    }
}
