//! From the folder of a run and its model files to a page and a picture.

use super::grid::{Panel, square_side, write_grid};
use super::html::write_report;
use super::input::{FormatRow, ReportInput};
use super::losses::read_losses;
use crate::data::Dataset;
use crate::export::source::load_data;
use crate::progress::Progress;
use crate::runtime::evaluate::evaluate;
use crate::runtime::model_file::ModelFile;
use crate::runtime::sample::{Drawing, Samples, sample, sample_many};
use crate::runtime::sample_variance::VarianceRatio;
use crate::train::LOSSES;
use crate::train::checkpoint::Run;
use anyhow::{Context, Result, bail, ensure};
use candle_core::Device;
use std::path::{Path, PathBuf};

/// Title of the board's panel.
const BOARD: &str = "samples, from the board";
/// Images in a panel.
const PANEL: usize = 100;

/// Samples of each model whose variance is measured.
const VARIED: usize = 1000;

/// Files that a report is made from.
#[derive(Clone, Copy, Debug)]
pub struct ReportSource<'a> {
    /// Folder of the run.
    pub run: &'a Path,
    /// Model files made from it.
    pub models: &'a [PathBuf],
    /// Hex lines that a board printed.
    pub board: Option<&'a Path>,
    /// Configuration to take the data from, instead of the models' own.
    pub config: Option<&'a Path>,
    /// Seed of the samples drawn.
    pub seed: u64,
}

/// Files that were written, and what they show.
#[derive(Debug)]
pub struct Built {
    /// The picture, if the data is square.
    pub picture: Option<PathBuf>,
    /// Scores of the model files.
    pub formats: Vec<FormatRow>,
}

/// Writes the page `out`, and the picture `grid.png` beside it if the data is square.
pub fn build_report(source: &ReportSource, out: &Path, progress: &Progress) -> Result<Built> {
    let run = Run::averaged(source.run, &Device::Cpu)?;
    ensure!(
        !source.models.is_empty(),
        "a report needs at least one model file: name it with --models"
    );
    let models = source.models.iter();
    let files = models.map(|path| ModelFile::read(path)).collect::<Result<Vec<_>>>()?;
    let mut formats = Vec::new();
    let mut panels = Vec::new();
    for file in &files {
        let split = load_data(|| file.data(), source.config)?;
        if panels.is_empty() {
            panels.extend(data_panel(&split.test));
        }
        let score = evaluate(file, &split.test, 4, 0, progress)?;
        let variance = VarianceRatio::new(&sample_many(file, VARIED, source.seed, progress)?, &split.train);
        formats.push(FormatRow::new(score, variance));
        if let Samples::Levels(images) = sample(file, PANEL, source.seed, Drawing::default(), progress)? {
            panels.push(Panel {
                title: format!("{} samples, desktop", file.header().format),
                images,
            });
        }
    }
    if let Some(path) = source.board {
        panels.push(Panel {
            title: BOARD.to_owned(),
            images: board_images(path, run.dim)?,
        });
    }
    let levels = files.first().map_or(0, |file| file.header().levels);
    let side = square_side(run.dim).filter(|_| levels != 0);
    let picture = side.map(|_| out.with_file_name("grid.png"));
    if let (Some(side), Some(path)) = (side, &picture) {
        write_grid(path, &panels, side, side, levels)?;
    }
    let input = report_input(source, &run, &panels, picture, formats)?;
    write_report(out, &input)?;
    Ok(Built {
        picture: input.grid_png,
        formats: input.formats,
    })
}

fn report_input(
    source: &ReportSource,
    run: &Run,
    panels: &[Panel],
    picture: Option<PathBuf>,
    formats: Vec<FormatRow>,
) -> Result<ReportInput> {
    let gamma = run.gamma.values()?.to_vec1::<f32>()?;
    let models = source.models.iter();
    Ok(ReportInput {
        title: format!("{}: {}", run.config.data.title(), source.run.display()),
        grid_png: picture,
        losses: read_losses(&source.run.join(LOSSES))?,
        gamma: gamma.into_iter().map(f64::from).collect(),
        formats,
        config_toml: run.config.to_toml()?,
        notes: compare_with_board(panels),
        commands: models
            .map(|model| format!("host-train evaluate {} --json", model.display()))
            .collect(),
    })
}

fn data_panel(data: &Dataset) -> Option<Panel> {
    let images: Option<Vec<Vec<u8>>> = (0..data.len().min(PANEL)).map(|i| data.row_bytes(i)).collect();
    Some(Panel {
        title: "data, held out".to_owned(),
        images: images?,
    })
}

/// Says which of the desktop's panels the board's samples equal. The board's panel is the last.
fn compare_with_board(panels: &[Panel]) -> Vec<String> {
    let Some((board, desktop)) = panels.split_last().filter(|(last, _)| last.title == BOARD) else {
        return Vec::new();
    };
    let same = desktop.iter().find(|panel| panel.images.starts_with(&board.images));
    vec![match same {
        Some(panel) => format!(
            "The board's samples are byte for byte those of the panel \"{}\".",
            panel.title
        ),
        None => "The board's samples equal those of no other panel: another model, seed or order was used.".to_owned(),
    }]
}

/// Reads the images in a board's hex lines.
fn board_images(path: &Path, dim: usize) -> Result<Vec<Vec<u8>>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut images = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let Some(rest) = line.strip_prefix("hex ") else {
            continue;
        };
        let digits = rest.split_whitespace().nth(1).unwrap_or("").as_bytes();
        let bytes: Option<Vec<u8>> = digits
            .chunks(2)
            .map(|pair| {
                std::str::from_utf8(pair)
                    .ok()
                    .and_then(|p| u8::from_str_radix(p, 16).ok())
            })
            .collect();
        match bytes {
            Some(image) if image.len() == dim => images.push(image),
            _ => bail!(
                "{}, line {}: expected `hex <index> <{dim} pairs of hexadecimal digits>`: capture the board's output again",
                path.display(),
                number + 1
            ),
        }
    }
    ensure!(
        !images.is_empty(),
        "{} has no line that begins with `hex`: capture the board's output again",
        path.display()
    );
    Ok(images)
}
