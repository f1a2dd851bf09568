use super::print_json;
use anyhow::{Result, ensure};
use candle_core::Device;
use host_train::checkpoint::Run;
use host_train::config::Config;
use host_train::data::{self, Dataset, Split};
use host_train::evaluate::{Evaluation, evaluate};
use host_train::export::float_spec;
use host_train::runtime::ModelFile;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Args {
    /// A model file (.vdm), or a checkpoint or a run's folder (scored in f32)
    model: PathBuf,
    /// Take the data from this configuration instead of the model's own
    #[arg(long)]
    config: Option<PathBuf>,
    /// Score the training rows instead of the held-out ones
    #[arg(long)]
    train_rows: bool,
    /// Score at most this many rows
    #[arg(long)]
    rows: Option<usize>,
    /// Noise draws per row and step
    #[arg(long, default_value_t = 4)]
    draws: u32,
    /// Seed of the noise
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print one JSON object and nothing else
    #[arg(long)]
    json: bool,
}

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        let file = if is_model(&self.model) {
            ModelFile::read(&self.model)?
        } else {
            let run = Run::averaged(&self.model, &Device::Cpu)?;
            ModelFile::from_bytes(&float_spec(&run)?.to_bytes()?, self.model.display().to_string())?
        };
        let split = data_of(&file, self.config.as_deref())?;
        let mut rows = if self.train_rows { split.train } else { split.test };
        if let Some(limit) = self.rows {
            ensure!(limit >= 1, "--rows 0 leaves nothing to score: at least 1 is needed");
            rows = first_rows(&rows, limit);
        }
        let score = evaluate(&file, &rows, self.draws, self.seed)?;
        if self.json {
            print_json(&score)?;
        } else {
            print(&score);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The data of a configuration, or else the model's own.
pub fn data_of(file: &ModelFile, config: Option<&Path>) -> Result<Split> {
    let mut spec = match config {
        Some(path) => Config::read(path)?.data,
        None => file.data()?,
    };
    if let Some(folder) = config.and_then(Path::parent) {
        spec.resolve(folder);
    }
    Ok(data::load(&spec, Path::new(""))?)
}

fn first_rows(data: &Dataset, limit: usize) -> Dataset {
    data.select(&(0..limit.min(data.len())).collect::<Vec<_>>())
}

/// A checkpoint is a safetensors file or a folder; everything else should be a model, whose parser says what is wrong.
fn is_model(path: &Path) -> bool {
    !path.is_dir() && path.extension().is_none_or(|e| e != "safetensors")
}

fn print(score: &Evaluation) {
    println!("{} ({}, T = {})", score.file, score.format, score.steps);
    println!("  rows scored        {:>10} × {} draws", score.rows, score.draws);
    println!("  reconstruction     {:>10.4} bits/dim", score.reconstruction);
    println!("  prior              {:>10.4}", score.prior);
    println!("  diffusion          {:>10.4}", score.diffusion);
    println!(
        "  negative ELBO      {:>10.4} ± {:.4}",
        score.bits_per_dim, score.standard_error
    );
    println!("  file               {:>10} bytes", score.file_bytes);
}
