use super::args::{FineTuneChoice, ModelOut, Output, Source};
use super::print::print_exported;
use anyhow::{Result, ensure};
use host_train::export::quantize::finetune::FineTune;
use host_train::export::quantize::formats::learning_rates;
use host_train::export::source::keep_data_from;
use host_train::export::{Recipe, export};
use host_train::progress::Progress;
use std::process::ExitCode;

/// Arguments of `host-train quantize`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    model: ModelOut,
    #[command(flatten)]
    finetuning: FineTuning,
    #[command(flatten)]
    output: Output,
}

/// Fine-tuning of an integer format.
#[derive(clap::Args)]
pub struct FineTuning {
    #[command(flatten)]
    choice: FineTuneChoice,
    /// Optimizer steps of the fine-tuning
    #[arg(long, default_value_t = FineTune::default().steps, requires = "finetune")]
    steps: u64,
    /// States in a batch
    #[arg(long, default_value_t = FineTune::default().batch, requires = "finetune")]
    batch: usize,
    /// Learning rate of Adam at the start, with the defaults of the formats.
    #[arg(long, requires = "finetune", help = learning_rate_help())]
    learning_rate: Option<f64>,
    /// Seed of the batches
    #[arg(long, default_value_t = FineTune::default().seed, requires = "finetune")]
    seed: u64,
}

fn learning_rate_help() -> String {
    let defaults: Vec<String> = learning_rates()
        .map(|(format, rate)| format!("{rate:e} for {format}"))
        .collect();
    format!("Learning rate of Adam at the start [default: {}]", defaults.join(", "))
}

impl FineTuning {
    /// Returns the settings, checked, if fine-tuning is asked for.
    pub fn settings(&self) -> Result<Option<FineTune>> {
        let settings = FineTune {
            steps: self.steps,
            batch: self.batch,
            learning_rate: self.learning_rate,
            seed: self.seed,
        };
        if !self.choice.finetune {
            return Ok(None);
        }
        settings.check()?;
        Ok(Some(settings))
    }
}

impl Args {
    /// Runs the command.
    pub fn run(self, quiet: bool) -> Result<ExitCode> {
        let ModelOut { format, out } = &self.model;
        ensure!(
            format.is_integer(),
            "{format} needs no quantization: use `host-train export`"
        );
        let finetune = self.finetuning.settings()?;
        let (mut run, split) = self.source.load()?;
        keep_data_from(&mut run, out);
        let recipe = Recipe {
            finetune,
            ..Recipe::plain(*format)
        };
        let progress = Progress::new(0, "quantizing").quiet_if(quiet);
        let exported = export(&run, &recipe, &split.train, &progress)?;
        progress.finish();
        exported.write(out)?;
        print_exported(out, *format, &exported, self.output.json)?;
        Ok(ExitCode::SUCCESS)
    }
}
