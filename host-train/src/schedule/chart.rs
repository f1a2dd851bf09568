//! The chart that tells the story: the ELBO against T, a line for each way to choose the steps.

use super::{Path, Table, Variance};
use crate::report::{Line, lines_chart};
use anyhow::Result;

/// Held-out negative ELBO against T, as SVG.
///
/// * `limit`: of the same network with infinitely many steps.
pub fn chart(tables: &[Table], limit: f64, dim_unit: &str) -> Result<String> {
    let kinds = [
        (Path::Even, Variance::Posterior),
        (Path::Cosine, Variance::Posterior),
        (Path::Learned, Variance::Posterior),
        (Path::Best, Variance::Posterior),
        (Path::Best, Variance::Calibrated),
        (Path::Best, Variance::Rotated),
    ];
    let mut lines: Vec<Line> = kinds
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
    let ends = lines.iter().flat_map(|l| &l.points).map(|p| p.0);
    let (least, most) = ends.fold((f64::INFINITY, 0.0), |(a, b), t| (t.min(a), t.max(b)));
    lines.push(Line {
        name: "T → ∞".to_owned(),
        points: vec![(least, limit), (most, limit)],
    });
    lines_chart(&lines, "steps T", &format!("negative ELBO, {dim_unit}"))
}
