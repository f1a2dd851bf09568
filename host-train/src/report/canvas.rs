//! A gray picture in memory that fills rectangles, writes captions and becomes a PNG.

use std::convert::Infallible;
use std::io::Write;

use embedded_graphics::Drawable;
use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::iso_8859_1::FONT_9X18_BOLD;
use embedded_graphics::pixelcolor::{Gray8, GrayColor};
use embedded_graphics::prelude::{DrawTarget, OriginDimensions, Pixel, Point, Size};
use embedded_graphics::text::{Baseline, Text};

/// Height of a line of text, in pixels.
pub(super) const TEXT_HEIGHT: usize = 18;
/// Width of a letter, in pixels.
const LETTER_WIDTH: usize = 9;

/// `width × height` pixels, one byte each: 0 is black, 255 white.
pub(super) struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Canvas {
    /// Creates a canvas in one gray level.
    pub fn new(width: usize, height: usize, background: u8) -> Self {
        Self {
            width,
            height,
            pixels: vec![background; width * height],
        }
    }

    /// Fills a rectangle. Parts outside the picture are left out.
    pub fn fill_rectangle(&mut self, left: usize, top: usize, width: usize, height: usize, gray: u8) {
        let columns = left.min(self.width)..(left + width).min(self.width);
        for y in top.min(self.height)..(top + height).min(self.height) {
            self.pixels[y * self.width..][columns.clone()].fill(gray);
        }
    }

    /// Gray value of a pixel, 0 outside.
    #[cfg(test)]
    pub fn pixel(&self, x: usize, y: usize) -> u8 {
        self.pixels.get(y * self.width + x).copied().unwrap_or(0)
    }

    /// Writes one line, cut to `width` pixels.
    pub fn write(&mut self, text: &str, left: usize, top: usize, width: usize, gray: u8) {
        let text: String = text.chars().take(width / LETTER_WIDTH).collect();
        let style = MonoTextStyle::new(&FONT_9X18_BOLD, Gray8::new(gray));
        let corner = Point::new(left as i32, top as i32);
        match Text::with_baseline(&text, corner, style, Baseline::Top).draw(self) {
            Ok(_) => {}
            Err(never) => match never {},
        }
    }

    /// Writes the picture as a PNG.
    pub fn encode(&self, file: impl Write) -> anyhow::Result<()> {
        let mut encoder = png::Encoder::new(file, u32::try_from(self.width)?, u32::try_from(self.height)?);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.pixels)?;
        Ok(writer.finish()?)
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.width as u32, self.height as u32)
    }
}

impl DrawTarget for Canvas {
    type Color = Gray8;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Gray8>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(point, color) in pixels {
            if let (Ok(x), Ok(y)) = (usize::try_from(point.x), usize::try_from(point.y))
                && x < self.width
                && y < self.height
            {
                self.pixels[y * self.width + x] = color.luma();
            }
        }
        Ok(())
    }
}
