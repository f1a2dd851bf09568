use super::args::{Data, Output, SampleSeed};
use super::print::{print, print_json};
use anyhow::Result;
use host_train::progress::Progress;
use host_train::report::{Built, ReportSource, build_report};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `host-train report`.
#[derive(clap::Args)]
pub struct Args {
    /// Folder of a run
    run: PathBuf,
    /// Model files exported from the run; repeat for several
    #[arg(long)]
    models: Vec<PathBuf>,
    /// Hex lines that a board printed, to draw beside the desktop's samples
    #[arg(long)]
    board: Option<PathBuf>,
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    generator: SampleSeed,
    /// Page to write; the picture goes beside it as grid.png [default: report.html in the run's folder]
    #[arg(long)]
    out: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

impl Args {
    /// Runs the command.
    pub fn run(self, quiet: bool) -> Result<ExitCode> {
        let out = self.out.clone().unwrap_or_else(|| self.run.join("report.html"));
        let source = ReportSource {
            run: &self.run,
            models: &self.models,
            board: self.board.as_deref(),
            config: self.data.config.as_deref(),
            seed: self.generator.seed,
        };
        let progress = Progress::new(0, "making the report").quiet_if(quiet);
        let Built { picture, formats } = build_report(&source, &out, &progress)?;
        progress.finish();
        if self.output.json {
            print_json(&json!({ "report": out, "picture": picture, "formats": formats }))?;
        } else {
            print(out.display())?;
            if let Some(picture) = picture {
                print(picture.display())?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
