//! Samples as a file: `.csv`, `.npy`, or `.png` for square pictures.

use super::grid::{Panel, square_side, write_grid};
use crate::files::write_atomically;
use crate::runtime::sample::Samples;
use anyhow::{Result, bail};
use std::path::Path;

/// Writes samples in the format that the file's extension names.
///
/// * `columns`: header of a `.csv`; empty for none.
///
/// # Errors
///
/// If the extension is none of the three, or a picture is asked for and the samples are no square images.
pub fn write_samples(path: &Path, samples: &Samples, levels: u16, columns: &[String]) -> Result<()> {
    match path.extension().and_then(|e| e.to_str()) {
        Some("csv") => write_atomically(path, |out| {
            let mut csv = csv::Writer::from_writer(out);
            if !columns.is_empty() {
                csv.write_record(columns)?;
            }
            match samples {
                // Levels are whole numbers, and are written as such.
                Samples::Levels(rows) => rows.iter().try_for_each(|row| csv.serialize(row))?,
                Samples::Values(rows) => rows.iter().try_for_each(|row| csv.serialize(row))?,
            }
            Ok(csv.flush()?)
        }),
        Some("npy") => write_atomically(path, |out| {
            let rows = samples.rows();
            let dim = rows.first().map_or(0, Vec::len);
            let bytes = npy(&rows, dim)?;
            Ok(out.write_all(&bytes)?)
        }),
        Some("png") => draw(path, samples, levels),
        _ => bail!("{}: samples are written as .csv, .npy or .png", path.display()),
    }
}

fn draw(path: &Path, samples: &Samples, levels: u16) -> Result<()> {
    let Samples::Levels(images) = samples else {
        bail!(
            "{}: only discretized data can be drawn: use .csv or .npy",
            path.display()
        )
    };
    let Some(side) = images.first().and_then(|image| square_side(image.len())) else {
        bail!(
            "{}: the data has no square number of dimensions to draw: use .csv or .npy",
            path.display()
        )
    };
    let panel = Panel {
        title: "samples".to_owned(),
        images: images.clone(),
    };
    write_grid(path, &[panel], side, side, levels)
}

fn npy(rows: &[Vec<f32>], dim: usize) -> Result<Vec<u8>> {
    use npyz::WriterBuilder as _;
    let mut bytes = Vec::new();
    let shape = [rows.len() as u64, dim as u64];
    let mut writer = npyz::WriteOptions::new()
        .default_dtype()
        .shape(&shape)
        .writer(&mut bytes)
        .begin_nd()?;
    writer.extend(rows.iter().flatten())?;
    writer.finish()?;
    Ok(bytes)
}
