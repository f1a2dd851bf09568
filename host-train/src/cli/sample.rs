use super::{print, print_json};
use anyhow::{Result, bail};
use host_train::files::write_atomically;
use host_train::report::{Panel, write_grid};
use host_train::runtime::model_file::ModelFile;
use host_train::runtime::sample::{Chain, Samples, sample};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Args {
    /// A model file (.vdm)
    model: PathBuf,
    /// How many
    #[arg(long, default_value_t = 100)]
    count: usize,
    /// Seed of the generator
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Take so many of the model's steps, as evenly among them as possible, instead of all
    #[arg(long)]
    steps: Option<usize>,
    /// Share of the posterior's noise in each step: 1 for the ancestral sampler, 0 for the deterministic one (DDIM) [default: the model's own]
    #[arg(long)]
    eta: Option<f64>,
    /// Write them to a .csv, .npy or, for square pictures, .png file
    #[arg(long)]
    out: Option<PathBuf>,
    /// Print them as the firmware does: `hex <index> <bytes>`
    #[arg(long, conflicts_with = "json")]
    hex: bool,
    /// Print one JSON object and nothing else
    #[arg(long)]
    json: bool,
}

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        if self.out.is_none() && !self.hex && !self.json {
            bail!("nothing would be kept of the samples: name a file with --out, or use --hex or --json");
        }
        let file = ModelFile::read(&self.model)?;
        let chain = (self.steps.is_some() || self.eta.is_some()).then(|| Chain {
            steps: self.steps,
            // Taking other steps of a deterministic model does not make it another sampler.
            eta: self.eta.unwrap_or(if file.header().samples_only { 0.0 } else { 1.0 }),
        });
        let samples = sample(&file, self.count, self.seed, chain)?;
        if let Some(out) = &self.out {
            write(out, &samples, file.header().levels)?;
        }
        if self.hex {
            for line in samples.hex_lines() {
                print(line)?;
            }
        }
        if self.json {
            print_json(&json!({
                "file": file.name,
                "format": file.header().format.name(),
                "steps": self.steps.unwrap_or(usize::from(file.header().steps)),
                "dim": file.header().dim,
                "count": self.count,
                "seed": self.seed,
                "out": self.out,
                "samples": if self.out.is_none() { Some(samples.rows()) } else { None },
            }))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn write(path: &Path, samples: &Samples, levels: u16) -> Result<()> {
    let rows = samples.rows();
    match path.extension().and_then(|e| e.to_str()) {
        Some("csv") => write_atomically(path, |out| {
            let mut csv = csv::Writer::from_writer(out);
            for row in &rows {
                csv.serialize(row)?;
            }
            Ok(csv.flush()?)
        }),
        Some("npy") => write_atomically(path, |out| {
            let dim = rows.first().map_or(0, Vec::len);
            let bytes = npy(&rows, dim)?;
            Ok(out.write_all(&bytes)?)
        }),
        Some("png") => {
            let Samples::Levels(images) = samples else {
                bail!(
                    "{}: only discretised data can be drawn: use .csv or .npy",
                    path.display()
                )
            };
            let Some(side) = images.first().and_then(|i| square(i.len())) else {
                bail!(
                    "{}: the data has no square number of dimensions to draw: use .csv or .npy",
                    path.display()
                )
            };
            let panel = Panel {
                title: "samples".to_owned(),
                images: images.clone(),
            };
            write_grid(path, &[panel], side, side, levels)
        }
        _ => bail!("{}: samples are written as .csv, .npy or .png", path.display()),
    }
}

/// The side of a square of `dim` dimensions.
pub fn square(dim: usize) -> Option<usize> {
    let side = dim.isqrt();
    (side > 1 && side * side == dim).then_some(side)
}

fn npy(rows: &[Vec<f32>], dim: usize) -> Result<Vec<u8>> {
    use npyz::WriterBuilder as _;
    let mut bytes = Vec::new();
    let shape = [rows.len() as u64, dim as u64];
    let mut writer = npyz::WriteOptions::new()
        .default_dtype()
        .shape(&shape)
        .writer(&mut bytes)
        .begin_nd()?;
    writer.extend(rows.iter().flatten())?;
    writer.finish()?;
    Ok(bytes)
}
