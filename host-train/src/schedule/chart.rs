//! The chart that tells the story: the ELBO against T, a line for each way to choose the steps.

use super::{Path, Table, Variance};
use crate::report::{Line, lines_chart};
use anyhow::Result;

/// Held-out diffusion term against T, as SVG.
pub fn chart(tables: &[Table], dim_unit: &str) -> Result<String> {
    let kinds = [
        (Path::Even, Variance::Posterior),
        (Path::Cosine, Variance::Posterior),
        (Path::Learned, Variance::Posterior),
        (Path::Best, Variance::Posterior),
        (Path::Best, Variance::Calibrated),
        (Path::Best, Variance::Rotated),
    ];
    let lines: Vec<Line> = kinds
        .into_iter()
        .map(|(path, variance)| Line {
            name: match variance {
                Variance::Posterior => format!("{} γ", path.name()),
                _ => format!("+ {}", variance.name()),
            },
            points: tables
                .iter()
                .filter(|t| t.path == path && t.variance == variance)
                .map(|t| (t.steps as f64, t.test_bits_per_dim))
                .collect(),
        })
        .collect();
    lines_chart(&lines, "steps T", &format!("diffusion term, {dim_unit}"))
}
