//! Chart of the ELBO against T, with a line for each way to choose the steps.

use super::charts::{Line, lines_chart};
use crate::model::variance::VarianceKind;
use crate::study::paths::Path;
use crate::study::table::ChosenSteps;
use anyhow::Result;

/// Height of the chart above the limit, in bits per dimension.
const MAX_BITS_ABOVE_LIMIT: f64 = 1.0;

/// Draws the held-out negative ELBO against T, as SVG.
///
/// * `limit`: negative ELBO of the same network with infinitely many steps;
/// * `trained`: T and negative ELBO of models that were trained for their T.
pub fn steps_chart(tables: &[ChosenSteps], limit: f64, trained: &[(usize, f64)], dim_unit: &str) -> Result<String> {
    let kinds = [
        (Path::Even, VarianceKind::Posterior),
        (Path::Cosine, VarianceKind::Posterior),
        (Path::Learned, VarianceKind::Posterior),
        (Path::Best, VarianceKind::Posterior),
        (Path::Best, VarianceKind::Calibrated),
        (Path::Best, VarianceKind::Rotated),
    ];
    let mut lines: Vec<Line> = kinds
        .into_iter()
        .map(|(path, variance)| Line {
            name: match variance {
                VarianceKind::Posterior => format!("{} γ", path.name()),
                _ => format!("+ {}", variance.name()),
            },
            points: tables
                .iter()
                .filter(|t| t.path == path && t.variance == variance)
                .map(|t| (t.steps as f64, t.test_bits_per_dim))
                .collect(),
        })
        .collect();
    if !trained.is_empty() {
        lines.push(Line {
            name: "+ trained for T".to_owned(),
            points: trained.iter().map(|&(t, bits)| (t as f64, bits)).collect(),
        });
    }
    // Far points would squeeze everything else: such lines begin where they come near the limit.
    for line in &mut lines {
        line.points.retain(|p| p.1 < limit + MAX_BITS_ABOVE_LIMIT);
    }
    let ends = lines.iter().flat_map(|l| &l.points).map(|p| p.0);
    let (least, most) = ends.fold((f64::INFINITY, 0.0), |(a, b), t| (t.min(a), t.max(b)));
    lines.push(Line {
        name: "T → ∞".to_owned(),
        points: vec![(least, limit), (most, limit)],
    });
    lines_chart(&lines, "steps T", &format!("negative ELBO, {dim_unit}"))
}
