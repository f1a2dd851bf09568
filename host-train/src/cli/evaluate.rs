use super::{load_data, print, print_json};
use anyhow::{Result, ensure};
use candle_core::Device;
use host_train::data::Dataset;
use host_train::export::float_spec;
use host_train::runtime::evaluate::{Evaluation, evaluate};
use host_train::runtime::model_file::ModelFile;
use host_train::train::checkpoint::Run;
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
        let split = load_data(|| file.data(), self.config.as_deref())?;
        let mut rows = if self.train_rows { split.train } else { split.test };
        if let Some(limit) = self.rows {
            ensure!(limit >= 1, "--rows 0 leaves nothing to score: at least 1 is needed");
            rows = first_rows(&rows, limit);
        }
        let score = evaluate(&file, &rows, self.draws, self.seed)?;
        if self.json {
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

/// A checkpoint is a safetensors file or a folder; everything else should be a model, whose parser says what is wrong.
fn is_model(path: &Path) -> bool {
    !path.is_dir() && path.extension().is_none_or(|e| e != "safetensors")
}

fn print_score(score: &Evaluation) -> Result<()> {
    print(format_args!("{} ({}, T = {})", score.file, score.format, score.steps))?;
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
