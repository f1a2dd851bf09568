use super::sample::square;
use super::{load_data, print, print_json};
use anyhow::{Context, Result, bail, ensure};
use candle_core::Device;
use host_train::data::Dataset;
use host_train::report::{FormatRow, Panel, ReportInput, read_losses, write_grid, write_report};
use host_train::runtime::evaluate::{Evaluation, evaluate};
use host_train::runtime::model_file::ModelFile;
use host_train::runtime::sample::{Samples, sample};
use host_train::train::LOSSES;
use host_train::train::checkpoint::Run;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Title of the board's panel.
const BOARD: &str = "samples, from the board";
/// Images in a panel.
const PANEL: usize = 100;

#[derive(clap::Args)]
pub struct Args {
    /// The folder of a run
    run: PathBuf,
    /// The model files made from it, one option each
    #[arg(long)]
    models: Vec<PathBuf>,
    /// Hex lines that a board printed, to be drawn beside the desktop's samples
    #[arg(long)]
    board: Option<PathBuf>,
    /// Take the data from this configuration instead of the models' own
    #[arg(long)]
    config: Option<PathBuf>,
    /// Seed of the samples drawn
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// The page to write; the picture goes beside it as grid.png [default: report.html in the run's folder]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Print one JSON object and nothing else
    #[arg(long)]
    json: bool,
}

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        let out = self.out.clone().unwrap_or_else(|| self.run.join("report.html"));
        let run = Run::averaged(&self.run, &Device::Cpu)?;
        ensure!(
            !self.models.is_empty(),
            "a report needs at least one model file: name it with --models"
        );
        let files = self
            .models
            .iter()
            .map(|path| ModelFile::read(path))
            .collect::<Result<Vec<_>>>()?;

        let mut formats = Vec::new();
        let mut panels = Vec::new();
        for file in &files {
            let split = load_data(|| file.data(), self.config.as_deref())?;
            if panels.is_empty() {
                panels.extend(panel_of_data(&split.test));
            }
            formats.push(row(evaluate(file, &split.test, 4, 0)?));
            if let Samples::Levels(images) = sample(file, PANEL, self.seed, None)? {
                panels.push(Panel {
                    title: format!("{} samples, desktop", file.header().format),
                    images,
                });
            }
        }
        if let Some(path) = &self.board {
            panels.push(Panel {
                title: BOARD.to_owned(),
                images: board_images(path, run.dim)?,
            });
        }
        let levels = files.first().map_or(0, |file| file.header().levels);
        let side = square(run.dim).filter(|_| levels != 0);
        let picture = side.map(|_| out.with_file_name("grid.png"));
        if let (Some(side), Some(path)) = (side, &picture) {
            write_grid(path, &panels, side, side, levels)?;
        }

        let input = ReportInput {
            title: format!("{}: {}", run.config.data.source, self.run.display()),
            grid_png: picture.clone(),
            losses: read_losses(&self.run.join(LOSSES))?,
            gamma: run
                .gamma
                .values()?
                .to_vec1::<f32>()?
                .into_iter()
                .map(f64::from)
                .collect(),
            formats,
            config_toml: run.config.to_toml()?,
            notes: notes(&panels),
            commands: self
                .models
                .iter()
                .map(|m| format!("host-train evaluate {} --json", m.display()))
                .collect(),
        };
        write_report(&out, &input)?;
        if self.json {
            print_json(&json!({ "report": out, "picture": picture, "formats": input.formats }))?;
        } else {
            print(out.display())?;
            if let Some(picture) = picture {
                print(picture.display())?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn panel_of_data(data: &Dataset) -> Option<Panel> {
    let images: Option<Vec<Vec<u8>>> = (0..data.len().min(PANEL)).map(|i| data.row_bytes(i)).collect();
    Some(Panel {
        title: "data, held out".to_owned(),
        images: images?,
    })
}

/// The board's samples come last: says which of the desktop's they equal.
fn notes(panels: &[Panel]) -> Vec<String> {
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

fn row(e: Evaluation) -> FormatRow {
    FormatRow {
        file: e.file,
        format: e.format,
        steps: e.steps,
        rows: e.rows,
        bits_per_dim: e.bits_per_dim,
        reconstruction: e.reconstruction,
        prior: e.prior,
        diffusion: e.diffusion,
        file_bytes: e.file_bytes as u64,
        prior_nats_per_dim: e.prior_nats_per_dim,
    }
}

/// The images in a board's hex lines.
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
