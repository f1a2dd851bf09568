//! Picture of continuous data: panels of small line charts on one scale.

use std::path::Path;

use anyhow::ensure;

use super::canvas::{Canvas, TEXT_HEIGHT};
use crate::files::write_atomically;

/// Charts in a row of a panel, and rows in a panel.
const PANEL_SIDE: usize = 6;
const CHART_WIDTH: usize = 96;
const CHART_HEIGHT: usize = 64;
const GAP: usize = 4;
const MARGIN: usize = 20;
const PANELS_ACROSS: usize = 3;

const BACKGROUND: u8 = 24;
const PAPER: u8 = 48;
const ZERO: u8 = 88;
const INK: u8 = 235;

/// Rows of one origin with a caption above them.
#[derive(Debug, Clone, PartialEq)]
pub struct Traces {
    /// Caption above the panel.
    pub title: String,
    /// Rows of equally many values; the first thirty-six are shown.
    pub rows: Vec<Vec<f32>>,
}

/// Draws every row as a line, all on the scale of the first panel. Values outside its range are cut off.
pub fn write_traces(path: &Path, panels: &[Traces]) -> anyhow::Result<()> {
    let first = panels.first().map_or(&[][..], |p| &p.rows);
    let values = first.iter().flatten().copied().filter(|v| v.is_finite());
    let (low, high) = values.fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    ensure!(
        low < high,
        "there is nothing to draw: the first panel has no two different values"
    );
    let panel_width = PANEL_SIDE * (CHART_WIDTH + GAP);
    let panel_height = PANEL_SIDE * (CHART_HEIGHT + GAP) + TEXT_HEIGHT + MARGIN;
    let across = panels.len().min(PANELS_ACROSS);
    let down = panels.len().div_ceil(PANELS_ACROSS);
    let mut canvas = Canvas::new(
        MARGIN + across * (panel_width + MARGIN),
        MARGIN + down * (panel_height + MARGIN / 2),
        BACKGROUND,
    );
    for (index, panel) in panels.iter().enumerate() {
        let left = MARGIN + index % PANELS_ACROSS * (panel_width + MARGIN);
        let top = MARGIN + index / PANELS_ACROSS * (panel_height + MARGIN / 2);
        canvas.write(&panel.title, left, top, panel_width, INK);
        for (chart, row) in panel.rows.iter().take(PANEL_SIDE * PANEL_SIDE).enumerate() {
            let x = left + chart % PANEL_SIDE * (CHART_WIDTH + GAP);
            let y = top + TEXT_HEIGHT + MARGIN / 3 + chart / PANEL_SIDE * (CHART_HEIGHT + GAP);
            draw(&mut canvas, row, (x, y), (low, high));
        }
    }
    write_atomically(path, |file| canvas.encode(file))
}

fn draw(canvas: &mut Canvas, row: &[f32], (left, top): (usize, usize), (low, high): (f32, f32)) {
    canvas.fill_rectangle(left, top, CHART_WIDTH, CHART_HEIGHT, PAPER);
    let height = |v: f32| {
        let share = ((high - v) / (high - low)).clamp(0.0, 1.0);
        top + (share * (CHART_HEIGHT - 1) as f32).round() as usize
    };
    canvas.fill_rectangle(left, height(0.0), CHART_WIDTH, 1, ZERO);
    let last = row.len().saturating_sub(1).max(1) as f32;
    let mut before = None;
    for pixel in 0..CHART_WIDTH {
        // The line between the two values on either side of this column of pixels.
        let place = pixel as f32 / (CHART_WIDTH - 1) as f32 * last;
        let (index, share) = (place as usize, place.fract());
        let Some(&a) = row.get(index) else { continue };
        let b = row.get(index + 1).copied().unwrap_or(a);
        let y = height(a + share * (b - a));
        let from = before.unwrap_or(y);
        canvas.fill_rectangle(left + pixel, y.min(from), 1, y.abs_diff(from) + 1, INK);
        before = Some(y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rising_line_rises() {
        let mut canvas = Canvas::new(CHART_WIDTH, CHART_HEIGHT, 0);
        draw(&mut canvas, &[-1.0, 0.0, 1.0], (0, 0), (-1.0, 1.0));
        let ink = |x: usize, y: usize| canvas.pixel(x, y) == INK;
        assert!(ink(0, CHART_HEIGHT - 1) && ink(CHART_WIDTH - 1, 0) && ink(CHART_WIDTH / 2, CHART_HEIGHT / 2));
        assert!(!ink(0, 0) && !ink(CHART_WIDTH - 1, CHART_HEIGHT - 1));
    }

    #[test]
    fn nothing_to_draw_is_said() {
        let flat = Traces {
            title: "flat".into(),
            rows: vec![vec![1.0; 4]],
        };
        assert!(write_traces(Path::new("unused"), &[flat]).is_err());
    }
}
