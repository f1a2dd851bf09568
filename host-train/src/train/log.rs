//! The loss log of a run.

use crate::files::write_atomically;
use anyhow::{Context, Result};
use std::path::PathBuf;

/// Name of the loss log in a run's folder.
pub const LOSSES: &str = "losses.csv";

/// One row of the loss log, in bits per dimension; for continuous data those of its density in the file's units.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LossRow {
    /// Number of steps done.
    pub step: u64,
    /// Reconstruction, prior and diffusion: means since the previous row.
    pub terms: [f64; 3],
    /// Negative ELBO of the averaged parameters on validation rows, where it was measured.
    pub validation: Option<f64>,
}

impl LossRow {
    /// Returns the negative ELBO: the sum of the three terms.
    pub fn total(&self) -> f64 {
        self.terms.iter().sum()
    }

    /// Adds a constant to the reconstruction, and so to the negative ELBO on either kind of rows.
    pub(super) fn add_reconstruction(&mut self, bits: f64) {
        let [reconstruction, ..] = &mut self.terms;
        *reconstruction += bits;
        self.validation = self.validation.map(|validation| validation + bits);
    }

    /// Returns the row's terms for a reader who watches the run.
    pub fn message(&self) -> String {
        let [reconstruction, prior, diffusion] = self.terms;
        format!(
            "{:.3} bits/dim (rec {reconstruction:.3} + prior {prior:.4} + diff {diffusion:.3})",
            self.total()
        )
    }
}

/// The loss log. Each flush rewrites the whole file: it is small, and so it never ends in half a row.
pub struct LossLog {
    path: PathBuf,
    text: String,
}

impl LossLog {
    const HEADER: &'static str = "step,total,reconstruction,prior,diffusion,validation\n";

    /// Opens a log. The rows of a resumed run are kept up to `step`.
    pub fn open(path: PathBuf, step: u64) -> Self {
        let mut text = Self::HEADER.to_owned();
        if step > 0 {
            let old = std::fs::read_to_string(&path).unwrap_or_default();
            for line in old.lines().skip(1) {
                let number = line.split(',').next().and_then(|s| s.parse::<u64>().ok());
                if number.is_some_and(|number| number <= step) {
                    text.push_str(line);
                    text.push('\n');
                }
            }
        }
        Self { path, text }
    }

    /// Adds a row. The validation's column stays empty where nothing was measured.
    pub fn push(&mut self, row: LossRow) {
        let [reconstruction, prior, diffusion] = row.terms;
        let validation = row.validation.map_or(String::new(), |bits| format!("{bits:.6}"));
        self.text.push_str(&format!(
            "{},{:.6},{reconstruction:.6},{prior:.6},{diffusion:.6},{validation}\n",
            row.step,
            row.total()
        ));
    }

    /// Writes the file.
    pub fn flush(&self) -> Result<()> {
        write_atomically(&self.path, |out| Ok(out.write_all(self.text.as_bytes())?))
            .context("the loss log could not be written")
    }
}
