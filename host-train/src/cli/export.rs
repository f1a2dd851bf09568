use super::args::{ModelOut, Output, Source};
use super::print::print_exported;
use anyhow::Result;
use host_train::export::source::keep_data_from;
use host_train::export::{Recipe, export};
use host_train::progress::Progress;
use std::process::ExitCode;

/// Arguments of `host-train export`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    model: ModelOut,
    #[command(flatten)]
    output: Output,
}

impl Args {
    /// Runs the command.
    pub fn run(self, quiet: bool) -> Result<ExitCode> {
        let ModelOut { format, out } = &self.model;
        let (mut run, split) = self.source.load()?;
        keep_data_from(&mut run, out);
        let progress = Progress::new(0, "exporting").quiet_if(quiet);
        let exported = export(&run, &Recipe::plain(*format), &split.train, &progress)?;
        progress.finish();
        exported.write(out)?;
        print_exported(out, *format, &exported, self.output.json)?;
        Ok(ExitCode::SUCCESS)
    }
}
