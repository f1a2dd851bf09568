use super::export::{formats, report};
use super::load_data;
use ancestral::FormatId;
use anyhow::{Result, ensure};
use candle_core::Device;
use host_train::checkpoint::Run;
use host_train::export::{Recipe, export};
use host_train::files::write_atomically;
use host_train::quantise::finetune::FineTune;
use indicatif::{ProgressBar, ProgressStyle};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Args {
    /// A checkpoint, or the folder of a run
    checkpoint: PathBuf,
    /// Number format: w8a16, w8a8 or w4a8
    #[arg(long, value_parser = formats())]
    format: FormatId,
    /// The model file to write
    #[arg(long)]
    out: PathBuf,
    /// After calibration, train the integer network to give what the float one gives
    #[arg(long)]
    finetune: bool,
    /// Steps of fine-tuning
    #[arg(long, default_value_t = FineTune::default().steps, requires = "finetune")]
    steps: u64,
    /// States in a batch
    #[arg(long, default_value_t = FineTune::default().batch, requires = "finetune")]
    batch: usize,
    /// Adam's learning rate at the start [default: 3e-6 for w8a16, 1e-5 for w8a8, 5e-5 for w4a8]
    #[arg(long, requires = "finetune")]
    learning_rate: Option<f64>,
    /// Seed of the batches
    #[arg(long, default_value_t = FineTune::default().seed, requires = "finetune")]
    seed: u64,
    /// Take the training rows from this configuration's data instead of the checkpoint's own
    #[arg(long)]
    config: Option<PathBuf>,
    /// Print one JSON object and nothing else
    #[arg(long)]
    json: bool,
}

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        ensure!(
            self.format.is_integer(),
            "{} needs no quantisation: use `host-train export`",
            self.format
        );
        let settings = FineTune {
            steps: self.steps,
            batch: self.batch,
            learning_rate: self.learning_rate,
            seed: self.seed,
        };
        if self.finetune {
            settings.check()?;
        }
        let run = Run::averaged(&self.checkpoint, &Device::Cpu)?;
        let split = load_data(|| Ok(run.config.data.clone()), self.config.as_deref())?;
        let bar = if self.json || !self.finetune {
            ProgressBar::hidden()
        } else {
            ProgressBar::new(self.steps).with_style(
                ProgressStyle::with_template("{bar:30} {pos}/{len} steps, {msg} ({eta} left)")
                    .unwrap_or_else(|_| ProgressStyle::default_bar()),
            )
        };
        let recipe = Recipe {
            finetune: self.finetune.then_some(settings),
            ..Recipe::plain(self.format)
        };
        let exported = export(&run, &recipe, &split.train, |step, loss| {
            bar.set_position(step);
            bar.set_message(format!("{loss:.4} nats a row"));
        })?;
        bar.finish_and_clear();
        write_atomically(&self.out, |out| Ok(out.write_all(&exported.bytes)?))?;
        report(&self.out, self.format, &exported, self.json)?;
        Ok(ExitCode::SUCCESS)
    }
}
