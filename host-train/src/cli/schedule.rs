use super::export::{formats, report};
use super::{load_data, print, print_json};
use ancestral::FormatId;
use anyhow::{Context as _, Result, ensure};
use candle_core::Device;
use host_train::export::quantize::finetune::FineTune;
use host_train::export::{Recipe, export};
use host_train::files::write_atomically;
use host_train::model::variance::{VARIANCES, VarianceKind};
use host_train::report::steps_chart;
use host_train::runtime::evaluate::evaluate;
use host_train::runtime::model_file::ModelFile;
use host_train::study::paths::{PATHS, Path};
use host_train::study::step_search::{Settings, Study};
use host_train::study::table::Table;
use host_train::train::checkpoint::Run;
use std::path::PathBuf;
use std::process::ExitCode;

/// Noise draws per row and step of the models in the chart.
const TRAINED_DRAWS: u32 = 4;

#[derive(clap::Args)]
pub struct Args {
    /// A checkpoint, or the folder of a run
    checkpoint: PathBuf,
    /// Numbers of steps to look at
    #[arg(long, value_delimiter = ',', default_value = "2,4,8,16,32,64")]
    steps: Vec<usize>,
    /// Points of the grid of gamma
    #[arg(long, default_value_t = Settings::default().grid)]
    grid: usize,
    /// Noise draws per row and point of the grid
    #[arg(long, default_value_t = Settings::default().draws)]
    draws: usize,
    /// Seed of the noise
    #[arg(long, default_value_t = Settings::default().seed)]
    seed: u64,
    /// Draw the ELBO against T into this SVG
    #[arg(long)]
    chart: Option<PathBuf>,
    /// Model files that were trained for their number of steps, for a line of their own in the chart
    #[arg(long, value_delimiter = ',', requires = "chart")]
    trained: Vec<PathBuf>,
    /// Write a model file with the table that is expected to be the cheapest; takes one number of --steps
    #[arg(long)]
    out: Option<PathBuf>,
    /// Number format of that file
    #[arg(long, value_parser = formats(), default_value = "f32", requires = "out")]
    format: FormatId,
    /// Fine-tune that file's integers
    #[arg(long, requires = "out")]
    finetune: bool,
    /// Take the data from this configuration instead of the checkpoint's own
    #[arg(long)]
    config: Option<PathBuf>,
    /// Print a JSON list of tables and nothing else
    #[arg(long)]
    json: bool,
}

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        ensure!(
            self.out.is_none() || self.steps.len() == 1,
            "--out writes one model: give one number of --steps"
        );
        let run = Run::averaged(&self.checkpoint, &Device::Cpu)?;
        let split = load_data(|| Ok(run.config.data.clone()), self.config.as_deref())?;
        let settings = Settings {
            grid: self.grid,
            draws: self.draws,
            seed: self.seed,
        };
        let study = Study::new(&run, &split, &settings)?;
        let mut tables = Vec::new();
        for path in PATHS {
            for variance in VARIANCES {
                for &steps in &self.steps {
                    tables.push(study.table(path, variance, steps)?);
                }
            }
        }
        if let Some(path) = &self.chart {
            let mut trained = Vec::new();
            for file in &self.trained {
                let score = evaluate(&ModelFile::read(file)?, &split.test, TRAINED_DRAWS, self.seed)?;
                trained.push((score.steps, score.bits_per_dim));
            }
            trained.sort_by_key(|point| point.0);
            let svg = steps_chart(&tables, study.limit(), &trained, "bits/dim")?;
            write_atomically(path, |out| Ok(out.write_all(svg.as_bytes())?))?;
        }
        if self.json {
            print_json(&tables)?;
        } else {
            self.print(&tables, study.limit())?;
        }
        if let Some(out) = &self.out {
            let cheapest = tables
                .iter()
                .min_by(|a, b| a.expected_bits_per_dim.total_cmp(&b.expected_bits_per_dim))
                .context("there is no table")?;
            let finetune = self.finetune.then(FineTune::default);
            let recipe = Recipe {
                format: self.format,
                finetune,
                table: Some(cheapest),
            };
            let exported = export(&run, &recipe, &split.train, |_, _| {})?;
            write_atomically(out, |file| Ok(file.write_all(&exported.bytes)?))?;
            if !self.json {
                report(out, self.format, &exported, false)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn print(&self, tables: &[Table], limit: f64) -> Result<()> {
        print("negative ELBO on held-out rows in bits/dim; everything is chosen on other rows")?;
        let heads: Vec<String> = self.steps.iter().map(|t| format!("{:>9}", format!("T={t}"))).collect();
        print(format_args!("{:<10} {:<11}{}", "gamma", "variance", heads.concat()))?;
        let row = |path: Path, variance: VarianceKind| {
            let of = tables.iter().filter(|t| t.path == path && t.variance == variance);
            of.map(|t| format!("{:>9.4}", t.test_bits_per_dim)).collect::<String>()
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
        print(format_args!("infinitely many steps of the same network: {limit:.4}"))
    }
}
