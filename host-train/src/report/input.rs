//! Contents of a report.

use crate::runtime::evaluate::Evaluation;
use crate::runtime::sample_variance::VarianceRatio;
use crate::train::log::LossRow;
use std::path::PathBuf;

/// Contents of a report. A part that is empty leaves its section out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ReportInput {
    /// Heading of the page.
    pub title: String,
    /// The picture; absent for data that is no image.
    pub grid_png: Option<PathBuf>,
    /// Loss log of the training.
    pub losses: Vec<LossRow>,
    /// γ_0..=γ_T of the schedule: `T + 1` values.
    pub gamma: Vec<f64>,
    /// One row for every exported file that was evaluated.
    pub formats: Vec<FormatRow>,
    /// Configuration of the run, as it was written.
    pub config_toml: String,
    /// Remarks and warnings, a sentence each.
    pub notes: Vec<String>,
    /// Command lines that reproduce the numbers.
    pub commands: Vec<String>,
}

/// The held-out ELBO of one exported file.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct FormatRow {
    /// Name of the file.
    pub file: String,
    /// Number format of weights and activations, such as `w8a16`.
    pub format: String,
    /// Steps T of the chain.
    pub steps: usize,
    /// Number of times that a sample runs the network.
    pub calls: usize,
    /// Rows that were evaluated.
    pub rows: usize,
    /// The negative ELBO in bits per dimension.
    pub bits_per_dim: f64,
    /// Reconstruction term, in bits per dimension.
    pub reconstruction: f64,
    /// Prior term, in bits per dimension.
    pub prior: f64,
    /// Diffusion term, in bits per dimension.
    pub diffusion: f64,
    /// Size of the file, in bytes.
    pub file_bytes: u64,
    /// The prior term again, in nats per dimension, as the exporter's warning counts it.
    pub prior_nats_per_dim: f64,
    /// Variance of samples, as a multiple of that of the training rows.
    pub variance: Option<VarianceRatio>,
}

impl FormatRow {
    /// Takes the numbers of a score.
    pub fn new(score: Evaluation, variance: Option<VarianceRatio>) -> Self {
        Self {
            file: score.file,
            format: score.format,
            steps: score.steps,
            calls: score.calls,
            rows: score.rows,
            bits_per_dim: score.bits_per_dim,
            reconstruction: score.reconstruction,
            prior: score.prior,
            diffusion: score.diffusion,
            file_bytes: score.file_bytes as u64,
            prior_nats_per_dim: score.prior_nats_per_dim,
            variance,
        }
    }
}

#[cfg(test)]
pub(crate) mod examples {
    use super::{FormatRow, VarianceRatio};
    use crate::train::log::LossRow;

    /// A log that falls from 12 to about 2.5 bits/dim.
    pub fn losses(count: u64) -> Vec<LossRow> {
        let row = |i: u64| {
            let (x, jitter) = (i as f64 / count as f64, (i * 7919 % 101) as f64 / 600.0);
            let (reconstruction, prior) = (0.55 + 0.8 * (-30.0 * x).exp(), 0.004 + 0.5 * (-60.0 * x).exp());
            let diffusion = 1.9 + 9.0 * (-25.0 * x).exp() + jitter;
            let terms: [f64; 3] = [reconstruction, prior, diffusion];
            let total = terms.iter().sum::<f64>();
            LossRow {
                step: (i + 1) * 4,
                terms,
                validation: (i % 500 == 499).then_some(total + 0.05),
            }
        };
        (0..count).map(row).collect()
    }

    /// Two files of one model.
    pub fn formats() -> Vec<FormatRow> {
        let row = |format: &str, diffusion: f64, file_bytes| FormatRow {
            file: format!("digits-t64-{format}.vdm"),
            format: format.to_owned(),
            steps: 64,
            calls: 65,
            rows: 297,
            bits_per_dim: diffusion + 0.554,
            reconstruction: 0.55,
            prior: 0.004,
            diffusion,
            file_bytes,
            prior_nats_per_dim: 0.004 * std::f64::consts::LN_2,
            variance: Some(VarianceRatio {
                overall: 0.98,
                worst: 0.93,
            }),
        };
        vec![row("f32", 1.930, 931_240), row("w8a16", 1.944, 302_936)]
    }
}
