//! Picture of a comparison: a hundred rows of the data, and as many samples of each model.

use super::grid::{Panel, square_side, write_grid};
use super::traces::{Traces, write_traces};
use crate::data::Split;
use crate::runtime::compare::{Compared, Comparison};
use crate::runtime::sample::Samples;
use anyhow::{Context, Result};
use std::path::Path;

/// Rows in a panel.
const PANEL: usize = 100;

/// Draws the picture: images of discretized data, line charts of continuous data.
pub fn draw_compared(path: &Path, rows: &[Compared], split: &Split) -> Result<()> {
    match split.test.levels() {
        Some(levels) => draw_images(path, rows, split, levels),
        None => draw_lines(path, rows, split),
    }
}

fn draw_images(path: &Path, rows: &[Compared], split: &Split, levels: u16) -> Result<()> {
    let side = square_side(split.test.dim).with_context(|| {
        format!(
            "{}: the data has no square number of dimensions to draw",
            path.display()
        )
    })?;
    let mut panels = vec![Panel {
        title: "held-out data".to_owned(),
        images: shown(split).filter_map(|r| split.test.row_bytes(r)).collect(),
    }];
    for Compared { row, samples } in rows {
        if let Some(Samples::Levels(images)) = samples {
            panels.push(Panel {
                title: title(row),
                images: images.iter().take(PANEL).cloned().collect(),
            });
        }
    }
    write_grid(path, &panels, side, side, levels)
}

fn draw_lines(path: &Path, rows: &[Compared], split: &Split) -> Result<()> {
    let mut panels = vec![Traces {
        title: "held-out data".to_owned(),
        rows: shown(split)
            .map(|r| split.test.kind.to_raw(split.test.row(r)))
            .collect(),
    }];
    for Compared { row, samples } in rows {
        if let Some(Samples::Values(values)) = samples {
            panels.push(Traces {
                title: title(row),
                rows: values.iter().take(PANEL).cloned().collect(),
            });
        }
    }
    write_traces(path, &panels)
}

fn shown(split: &Split) -> std::ops::Range<usize> {
    0..split.test.len().min(PANEL)
}

fn title(row: &Comparison) -> String {
    let score = &row.score;
    let bits = match score.bits_per_dim {
        bits if bits.is_nan() => "no ELBO".to_owned(),
        bits => format!("{bits:.3} bits/dim"),
    };
    format!("{}, T = {}: {bits}", score.format, score.steps)
}
