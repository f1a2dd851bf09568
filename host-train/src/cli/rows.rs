use super::args::{Data, Output, Part};
use super::print::{print, print_json};
use anyhow::{Context, Result};
use host_train::report::write_samples;
use host_train::runtime::model_file::ModelFile;
use host_train::runtime::raw_rows::raw_rows;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `host-train rows`.
#[derive(clap::Args)]
pub struct Args {
    /// A model file (.vdm), which names its data
    #[arg(required_unless_present = "config")]
    model: Option<PathBuf>,
    #[command(flatten)]
    data: Data,
    /// Part of the data to write
    #[arg(long)]
    part: Part,
    /// A .csv, .npy or, for square pictures, .png file to write
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    output: Output,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode> {
        let split = self.data.load(|| {
            let model = self.model.as_ref().context("name a model file or a --config")?;
            ModelFile::read(model)?.data()
        })?;
        let part = self.part.choose(split)?;
        write_samples(&self.out, &raw_rows(&part), part.levels().unwrap_or(0), &part.columns)?;
        match self.output.json {
            true => print_json(&json!({
                "data": part.name,
                "rows": part.len(),
                "dim": part.dim,
                "out": self.out,
            }))?,
            false => print(format_args!(
                "{}: {} rows of {}",
                self.out.display(),
                part.len(),
                part.name
            ))?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
