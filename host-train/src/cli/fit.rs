use super::args::{FineTuneChoice, Output, Training, format_parser};
use super::interrupt::{print_stopped, stop_flag};
use super::print::{print, print_json, print_warnings, score_line};
use ancestral::FormatId;
use anyhow::Result;
use host_train::fit::{Fitted, ModelPlan, fit};
use host_train::parallel::SingleProcess;
use host_train::runtime::sample::SAMPLE_SEED;
use std::process::ExitCode;

/// Arguments of `host-train fit`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    training: Training,
    /// Number formats, one model file each
    #[arg(long, value_delimiter = ',', value_parser = format_parser(), default_value = "f32,w8a16")]
    formats: Vec<FormatId>,
    #[command(flatten)]
    finetuning: FineTuneChoice,
    /// Number of samples to draw from each model file
    #[arg(long, default_value_t = 100)]
    count: usize,
    /// Seed of the samples
    #[arg(long, default_value_t = SAMPLE_SEED)]
    sample_seed: u64,
    #[command(flatten)]
    output: Output,
}

impl Args {
    /// Runs the command.
    pub fn run(self, quiet: bool) -> Result<ExitCode> {
        let plan = ModelPlan {
            formats: self.formats.clone(),
            finetune: self.finetuning.settings(),
            count: self.count,
            sample_seed: self.sample_seed,
        };
        let command = self.resume_command()?;
        let stop = stop_flag(&SingleProcess, &command)?;
        let (open, fitted) = fit(&self.training.request(), &plan, &stop, quiet)?;
        let Some(fitted) = fitted else {
            let run = &open.run;
            return Ok(print_stopped(run.optimizer.step, run.config.train.steps, &command));
        };
        for model in &fitted.models {
            print_warnings(&model.warnings);
        }
        match self.output.json {
            true => print_json(&fitted)?,
            false => print_fitted(&fitted)?,
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The command that resumes the training and goes on from there.
    fn resume_command(&self) -> Result<String> {
        let formats: Vec<&str> = self.formats.iter().map(|format| format.name()).collect();
        Ok(format!(
            "host-train fit {} --formats {}{} --count {} --sample-seed {}",
            self.training.resume_arguments()?,
            formats.join(","),
            if self.finetuning.finetune { " --finetune" } else { "" },
            self.count,
            self.sample_seed
        ))
    }
}

fn print_fitted(fitted: &Fitted) -> Result<()> {
    print("held-out ELBO, exact, through each model file:")?;
    for model in &fitted.models {
        let score = &model.held_out;
        print(format_args!("  {:<6} {}", model.format, score_line(score)))?;
    }
    for model in &fitted.models {
        print(format_args!(
            "{}: {} bytes, samples in {}",
            model.file.display(),
            model.held_out.file_bytes,
            model.samples.display()
        ))?;
    }
    print(fitted.report.display())?;
    if let Some(picture) = &fitted.picture {
        print(picture.display())?;
    }
    Ok(())
}
