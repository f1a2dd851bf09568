use super::args::{Output, SampleSeed};
use super::print::{print, print_json};
use ancestral::decoder::Decoding;
use anyhow::{Result, bail, ensure};
use host_train::progress::Progress;
use host_train::report::write_samples;
use host_train::runtime::model_file::ModelFile;
use host_train::runtime::sample::{ChainSteps, Drawing, sample};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `host-train sample`.
#[derive(clap::Args)]
pub struct Args {
    /// A model file (.vdm)
    model: PathBuf,
    /// Number of samples
    #[arg(long, default_value_t = 100)]
    count: usize,
    #[command(flatten)]
    generator: SampleSeed,
    /// Use only N of the model's steps, evenly spaced
    #[arg(long, value_name = "N", alias = "steps")]
    chain_steps: Option<usize>,
    /// Fraction of the posterior's noise in each step: 1 for the ancestral sampler, 0 for the deterministic one (DDIM)
    /// [default: the model's own]
    #[arg(long)]
    eta: Option<f64>,
    /// Take the most likely value of each dimension from the network decoder instead of drawing it: crisper, and less
    /// varied
    #[arg(long)]
    mode: bool,
    /// Write the samples to a .csv, .npy or, for square pictures, .png file
    #[arg(long)]
    out: Option<PathBuf>,
    /// Print the samples as the firmware does: `hex <index> <bytes>`
    #[arg(long, conflicts_with = "json")]
    hex: bool,
    #[command(flatten)]
    output: Output,
}

impl Args {
    /// Runs the command.
    pub fn run(self, quiet: bool) -> Result<ExitCode> {
        if self.out.is_none() && !self.hex && !self.output.json {
            bail!("the samples would be lost: name a file with --out, or use --hex or --json");
        }
        let file = ModelFile::read(&self.model)?;
        let decoder_calls = usize::from(file.header().network_decoder);
        ensure!(
            decoder_calls == 1 || !self.mode,
            "--mode chooses how the network decoder takes a sample, but the decoder of {} is not the network: leave --mode out",
            file.name
        );
        let steps = self.chain_steps.unwrap_or(usize::from(file.header().steps));
        let chain = (self.chain_steps.is_some() || self.eta.is_some()).then(|| ChainSteps {
            steps: self.chain_steps,
            // A deterministic model stays deterministic with other steps.
            eta: self.eta.unwrap_or(if file.header().samples_only { 0.0 } else { 1.0 }),
        });
        let progress = Progress::new(0, "sampling").quiet_if(quiet);
        let decoding = if self.mode { Decoding::Mode } else { Decoding::Draw };
        let drawing = Drawing { chain, decoding };
        let samples = sample(&file, self.count, self.generator.seed, drawing, &progress)?;
        progress.finish();
        // A file of another maker has no columns to name.
        let columns = file.data().map(|data| data.columns).unwrap_or_default();
        if let Some(out) = &self.out {
            write_samples(out, &samples, file.header().levels, &columns)?;
        }
        if self.hex {
            for line in samples.hex_lines() {
                print(line)?;
            }
        }
        if self.output.json {
            print_json(&json!({
                "file": file.name,
                "format": file.header().format.name(),
                "steps": steps,
                "calls": steps + decoder_calls,
                "decoding": if self.mode { "mode" } else { "draw" },
                "dim": file.header().dim,
                "columns": columns,
                "count": self.count,
                "seed": self.generator.seed,
                "out": self.out,
                "samples": if self.out.is_none() { Some(samples.rows()) } else { None },
            }))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
