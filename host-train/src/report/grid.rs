//! Picture of discretized data: panels of small gray images, to be compared by eye.

use std::path::Path;

use anyhow::{bail, ensure};

use super::canvas::{Canvas, TEXT_HEIGHT};
use crate::files::write_atomically;

/// Images in a row of a panel, and rows in a panel.
const PANEL_SIDE: usize = 10;
/// Approximate length in pixels that an image's longer side is enlarged to.
const IMAGE_PIXELS: usize = 48;
/// Pixels between two images.
const GAP: usize = 2;
/// Pixels around and between panels.
const MARGIN: usize = 20;

const BACKGROUND: u8 = 24;
const SEPARATOR: u8 = 64;
const CAPTION: u8 = 235;

/// Images of one origin with a caption above them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panel {
    /// Caption, cut off at the width of the panel.
    pub title: String,
    /// Images of `width × height` levels, row by row; the first hundred are shown.
    pub images: Vec<Vec<u8>>,
}

/// Sizes in pixels that follow from the size of the images.
struct Layout {
    side_w: usize,
    side_h: usize,
    scale: usize,
    panels_across: usize,
    panels_down: usize,
    rows: usize,
}

impl Layout {
    fn panel_width(&self) -> usize {
        PANEL_SIDE * (self.side_w * self.scale + GAP) + GAP
    }

    fn panel_height(&self) -> usize {
        self.rows * (self.side_h * self.scale + GAP) + GAP
    }

    fn panel_corner(&self, panel: usize) -> (usize, usize) {
        let (across, down) = (panel % self.panels_across, panel / self.panels_across);
        (
            MARGIN + across * (self.panel_width() + MARGIN),
            MARGIN + down * (self.panel_height() + self.pitch_extra()),
        )
    }

    /// Caption and margin that come with each row of panels.
    fn pitch_extra(&self) -> usize {
        TEXT_HEIGHT + MARGIN + MARGIN / 3
    }

    fn size(&self) -> (usize, usize) {
        let width = MARGIN + self.panels_across * (self.panel_width() + MARGIN);
        let height = MARGIN + self.panels_down * (self.panel_height() + self.pitch_extra());
        (width, height)
    }
}

/// Draws `panels` of images of `side_w × side_h` values `0..levels` (0 black, the highest white) into a PNG.
///
/// Up to three panels stand side by side, four as two by two.
pub fn write_grid(path: &Path, panels: &[Panel], side_w: usize, side_h: usize, levels: u16) -> anyhow::Result<()> {
    check(panels, side_w, side_h, levels)?;
    let panels_across = if panels.len() == 4 { 2 } else { panels.len().min(3) };
    let shown = panels
        .iter()
        .map(|panel| panel.images.len())
        .max()
        .unwrap_or(0)
        .min(PANEL_SIDE * PANEL_SIDE);
    let layout = Layout {
        side_w,
        side_h,
        scale: (IMAGE_PIXELS / side_w.max(side_h)).max(1),
        panels_across,
        panels_down: panels.len().div_ceil(panels_across),
        rows: shown.div_ceil(PANEL_SIDE),
    };
    let (width, height) = layout.size();
    let mut canvas = Canvas::new(width, height, BACKGROUND);
    for (index, panel) in panels.iter().enumerate() {
        draw_panel(&mut canvas, &layout, panel, layout.panel_corner(index), levels);
    }
    write_atomically(path, |file| canvas.encode(file))
}

fn draw_panel(canvas: &mut Canvas, layout: &Layout, panel: &Panel, (left, top): (usize, usize), levels: u16) {
    canvas.write(&panel.title, left, top, layout.panel_width(), CAPTION);
    let top = top + TEXT_HEIGHT + MARGIN / 3;
    let (step_x, step_y) = (layout.side_w * layout.scale + GAP, layout.side_h * layout.scale + GAP);
    for (index, image) in panel.images.iter().take(PANEL_SIDE * PANEL_SIDE).enumerate() {
        let (x, y) = (left + index % PANEL_SIDE * step_x, top + index / PANEL_SIDE * step_y);
        canvas.fill_rectangle(x, y, step_x + GAP, step_y + GAP, SEPARATOR);
        for (position, &level) in image.iter().enumerate() {
            let gray = u32::from(level) * 255 / u32::from(levels - 1);
            let (column, row) = (position % layout.side_w, position / layout.side_w);
            let (x, y) = (x + GAP + column * layout.scale, y + GAP + row * layout.scale);
            canvas.fill_rectangle(x, y, layout.scale, layout.scale, gray as u8);
        }
    }
}

fn check(panels: &[Panel], side_w: usize, side_h: usize, levels: u16) -> anyhow::Result<()> {
    ensure!(
        side_w > 0 && side_h > 0,
        "an image of {side_w}×{side_h} pixels cannot be drawn: give both sides"
    );
    ensure!(
        (2..=256).contains(&levels),
        "a picture has 2 to 256 levels, not {levels}: leave it out for this data"
    );
    ensure!(
        panels.iter().any(|panel| !panel.images.is_empty()),
        "there are no images to draw: give at least one"
    );
    for panel in panels {
        for (index, image) in panel.images.iter().enumerate() {
            let (number, title, size) = (index + 1, &panel.title, image.len());
            if size != side_w * side_h {
                bail!("image {number} of {title:?} has {size} pixels instead of {side_w}×{side_h}: correct the sides");
            }
            if let Some(level) = image.iter().find(|level| u16::from(**level) >= levels) {
                bail!("image {number} of {title:?} holds level {level} of {levels}: correct the number of levels");
            }
        }
    }
    Ok(())
}

/// Returns the side of a square image of `dim` pixels.
pub(super) fn square_side(dim: usize) -> Option<usize> {
    let side = dim.isqrt();
    (side > 1 && side * side == dim).then_some(side)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(images: Vec<Vec<u8>>) -> Panel {
        Panel {
            title: "data".to_owned(),
            images,
        }
    }

    fn decode(path: &Path) -> (png::OutputInfo, Vec<u8>) {
        let file = std::io::BufReader::new(std::fs::File::open(path).unwrap());
        let mut reader = png::Decoder::new(file).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        (reader.next_frame(&mut pixels).unwrap(), pixels)
    }

    #[test]
    fn pixels_lie_where_they_should() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grid.png");
        write_grid(&path, &[panel(vec![vec![0, 1, 2, 2]])], 2, 2, 3).unwrap();
        let (info, pixels) = decode(&path);
        assert_eq!(info.width as usize, 2 * MARGIN + 10 * (48 + GAP) + GAP);
        let pixel = |x: usize, y: usize| {
            pixels[(MARGIN + TEXT_HEIGHT + MARGIN / 3 + GAP + y) * info.width as usize + MARGIN + GAP + x]
        };
        assert_eq!(
            [pixel(0, 0), pixel(24, 0), pixel(0, 24), pixel(47, 47), pixel(48, 0)],
            [0, 127, 255, 255, SEPARATOR]
        );
        assert!(
            pixels.iter().filter(|pixel| **pixel == CAPTION).count() > 40,
            "the caption is missing"
        );
    }

    #[test]
    fn four_panels_are_two_by_two() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grid.png");
        let full = panel(vec![vec![0; 64]; 120]);
        write_grid(&path, &[full.clone(), full.clone(), full.clone(), full], 8, 8, 17).unwrap();
        let (info, _) = decode(&path);
        assert_eq!(info.width as usize, 3 * MARGIN + 2 * 502);
        assert_eq!(
            info.height as usize,
            MARGIN + 2 * (502 + TEXT_HEIGHT + MARGIN + MARGIN / 3)
        );
    }

    #[test]
    fn wrong_images_are_named() {
        let message = |images, levels| {
            write_grid(Path::new("unused"), &[panel(images)], 2, 2, levels)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(message(vec![], 2), "there are no images to draw: give at least one");
        assert_eq!(
            message(vec![vec![0; 4], vec![0; 3]], 2),
            "image 2 of \"data\" has 3 pixels instead of 2×2: correct the sides"
        );
        assert_eq!(
            message(vec![vec![0, 1, 2, 0]], 2),
            "image 1 of \"data\" holds level 2 of 2: correct the number of levels"
        );
        assert!(message(vec![vec![0; 4]], 4096).starts_with("a picture has 2 to 256 levels, not 4096"));
    }
}
