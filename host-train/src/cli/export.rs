use super::{load_data, print, print_json};
use ancestral::FormatId;
use anyhow::Result;
use candle_core::Device;
use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser as _;
use host_train::checkpoint::Run;
use host_train::export::export;
use host_train::files::write_atomically;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Args {
    /// A checkpoint, or the folder of a run
    checkpoint: PathBuf,
    /// Number format
    #[arg(long, value_parser = formats())]
    format: FormatId,
    /// The model file to write
    #[arg(long)]
    out: PathBuf,
    /// Take the training rows from this configuration's data instead of the checkpoint's own
    #[arg(long)]
    config: Option<PathBuf>,
    /// Print one JSON object and nothing else
    #[arg(long)]
    json: bool,
}

/// The names of the core's formats.
fn formats() -> impl clap::builder::TypedValueParser<Value = FormatId> {
    PossibleValuesParser::new(FormatId::ALL.iter().map(|f| f.name())).try_map(|name| {
        FormatId::ALL
            .iter()
            .copied()
            .find(|f| f.name() == name)
            .ok_or_else(|| format!("unknown format {name}"))
    })
}

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        let run = Run::averaged(&self.checkpoint, &Device::Cpu)?;
        let split = load_data(|| Ok(run.config.data.clone()), self.config.as_deref())?;
        let exported = export(&run, self.format, &split.train)?;
        for warning in &exported.warnings {
            eprintln!("warning: {warning}");
        }
        write_atomically(&self.out, |out| Ok(out.write_all(&exported.bytes)?))?;
        if self.json {
            print_json(&json!({
                "file": self.out,
                "format": self.format.name(),
                "file_bytes": exported.bytes.len(),
                "warnings": exported.warnings,
            }))?;
        } else {
            print(format_args!(
                "{}: {}, {} bytes",
                self.out.display(),
                self.format,
                exported.bytes.len()
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
