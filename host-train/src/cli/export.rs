use super::{load_data, print, print_json};
use ancestral::FormatId;
use anyhow::Result;
use candle_core::Device;
use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser as _;
use host_train::export::{Exported, Recipe, export};
use host_train::files::write_atomically;
use host_train::train::checkpoint::Run;
use serde_json::json;
use std::path::{Path, PathBuf};
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
pub fn formats() -> impl clap::builder::TypedValueParser<Value = FormatId> {
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
        let exported = export(&run, &Recipe::plain(self.format), &split.train, |_, _| {})?;
        write_atomically(&self.out, |out| Ok(out.write_all(&exported.bytes)?))?;
        report(&self.out, self.format, &exported, self.json)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Says what was written, and what the user should know about it.
pub fn report(out: &Path, format: FormatId, exported: &Exported, as_json: bool) -> Result<()> {
    for warning in &exported.warnings {
        eprintln!("warning: {warning}");
    }
    if as_json {
        return print_json(&json!({
            "file": out,
            "format": format.name(),
            "file_bytes": exported.bytes.len(),
            "quantisation": exported.summary,
            "warnings": exported.warnings,
        }));
    }
    print(format_args!(
        "{}: {format}, {} bytes",
        out.display(),
        exported.bytes.len()
    ))?;
    if let Some(s) = &exported.summary {
        print(format_args!(
            "  error of x-hat on {} states: {:.5} nats/dim after calibration{}",
            s.states,
            s.calibrated_nats_per_dim,
            s.finetuned_nats_per_dim
                .map_or(String::new(), |n| format!(", {n:.5} after fine-tuning"))
        ))?;
        print(format_args!(
            "  hidden activations: {:.5} nats/dim on the states of calibration with one unit for all steps, {:.5} as chosen{}",
            s.one_unit_nats_per_dim,
            s.chosen_units_nats_per_dim,
            if s.exponents.is_empty() {
                " (one unit)"
            } else {
                " (units differ by powers of two)"
            }
        ))?;
        print(format_args!(
            "  the largest unit holds {:.2} of the largest activation seen, which varies by {:.2} over the steps",
            s.hidden_range, s.range_over_steps
        ))?;
    }
    Ok(())
}
