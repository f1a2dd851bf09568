//! Printing on standard output.

use ancestral::FormatId;
use anyhow::Result;
use host_train::export::Exported;
use host_train::runtime::evaluate::Evaluation;
use serde_json::json;
use std::fmt::Display;
use std::io::Write as _;
use std::path::Path;

/// Prints a line. Unlike `println!` it does not panic when nobody reads it.
pub fn print(line: impl Display) -> Result<()> {
    Ok(writeln!(std::io::stdout().lock(), "{line}")?)
}

/// Prints one JSON value, the only thing on standard output.
pub fn print_json(value: &impl serde::Serialize) -> Result<()> {
    print(serde_json::to_string(value)?)
}

/// Prints remarks for the user on standard error.
pub fn print_warnings(warnings: &[String]) {
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
}

/// Formats a score with its terms.
pub fn score_line(score: &Evaluation) -> String {
    format!(
        "{:.4} bits/dim (reconstruction {:.4}, prior {:.4}, diffusion {:.4})",
        score.bits_per_dim, score.reconstruction, score.prior, score.diffusion
    )
}

/// Prints a model file that was written, and remarks about it.
pub fn print_exported(out: &Path, format: FormatId, exported: &Exported, as_json: bool) -> Result<()> {
    print_warnings(&exported.warnings);
    if as_json {
        return print_json(&json!({
            "file": out,
            "format": format.name(),
            "file_bytes": exported.bytes.len(),
            "quantization": exported.summary,
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
            "  hidden activations: {:.5} nats/dim on the states of calibration with one unit for all calls, {:.5} as chosen{}",
            s.one_unit_nats_per_dim,
            s.chosen_units_nats_per_dim,
            if s.exponents.is_empty() {
                " (one unit)"
            } else {
                " (units differ by powers of two)"
            }
        ))?;
        print(format_args!(
            "  the largest unit holds {:.2} of the largest activation seen, which varies by {:.2} over the calls",
            s.hidden_range, s.range_over_steps
        ))?;
    }
    Ok(())
}
