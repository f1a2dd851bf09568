use super::sample::square;
use super::{load_data, print, print_json};
use anyhow::{Context, Result, ensure};
use host_train::data::Split;
use host_train::report::{Panel, Traces, write_grid, write_traces};
use host_train::runtime::compare::{Compared, Comparison, Settings, compare};
use host_train::runtime::model_file::ModelFile;
use host_train::runtime::sample::Samples;
use indicatif::ProgressBar;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

#[derive(clap::Args)]
pub struct Args {
    /// Model files (.vdm) of one data set; differences are to the first in f32
    #[arg(required = true)]
    models: Vec<PathBuf>,
    /// Samples drawn from each for the distance to the data; 0 leaves the distance out
    #[arg(long, default_value_t = 10_000)]
    samples: usize,
    /// Noise draws per row and step of the ELBO
    #[arg(long, default_value_t = 4)]
    draws: u32,
    /// Seed of the noise
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Also score the f32 network with its state in Q3.12: what fixed point costs before the network is quantised
    #[arg(long)]
    state: bool,
    /// Take the data from this configuration instead of the first model's own
    #[arg(long)]
    config: Option<PathBuf>,
    /// Draw a hundred of the data and of each file's samples into this PNG
    #[arg(long)]
    picture: Option<PathBuf>,
    /// Print a JSON list, one object per file (and one for --state), and nothing else
    #[arg(long)]
    json: bool,
}

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        ensure!(
            self.samples != 1,
            "--samples 1 has no distance: at least 2 are needed, or 0 for none"
        );
        ensure!(
            self.samples > 0 || self.picture.is_none(),
            "--picture draws samples: give --samples more than 0"
        );
        let files: Vec<ModelFile> = self.models.iter().map(|m| ModelFile::read(m)).collect::<Result<_>>()?;
        let first = files.first().context("name at least one model file")?;
        let split = load_data(|| first.data(), self.config.as_deref())?;
        let settings = Settings {
            draws: self.draws,
            samples: self.samples,
            seed: self.seed,
            state: self.state,
        };
        let spinner = ProgressBar::new_spinner();
        spinner.enable_steady_tick(Duration::from_millis(200));
        let rows = compare(&files, &split, &settings, |what| spinner.set_message(what.to_owned()))?;
        spinner.finish_and_clear();
        if self.json {
            print_json(&rows.iter().map(|r| &r.row).collect::<Vec<_>>())?;
        } else {
            table(&rows, &split)?;
        }
        // Last: a path that cannot be written must not cost the numbers.
        if let Some(path) = &self.picture {
            picture(path, &rows, &split)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn table(rows: &[Compared], split: &Split) -> Result<()> {
    let Some(Compared { row: first, .. }) = rows.first() else {
        return Ok(());
    };
    print(format_args!(
        "{} held-out rows of {}, {} noise draws per row and step; bits/dim",
        first.score.rows, split.test.name, first.score.draws
    ))?;
    print(format_args!(
        "{:<13} {:>4} {:>8} {:>7} {:>9} {:>9} {:>9} {:>7} {:>10} {:>7} {:>11} {:>10}",
        "format",
        "T",
        "reconstr",
        "prior",
        "diffusion",
        "-ELBO",
        "delta",
        "+-",
        "file",
        "RAM",
        "MAC/sample",
        "energy D2"
    ))?;
    for Compared { row, .. } in rows {
        let Comparison { score, .. } = row;
        print(format_args!(
            "{:<13} {:>4} {:>8.4} {:>7.4} {:>9.4} {:>9.4} {:>+9.4} {:>7.4} {:>10} {:>7} {:>11} {:>10}",
            score.format,
            score.steps,
            score.reconstruction,
            score.prior,
            score.diffusion,
            score.bits_per_dim,
            row.delta,
            row.delta_error,
            score.file_bytes,
            row.ram_bytes,
            row.macs_per_sample,
            row.energy_distance.map_or("-".to_owned(), |d| format!("{d:.5}")),
        ))?;
    }
    if let Some(floor) = first.energy_floor {
        print(format_args!(
            "energy D2: 0 for one distribution; random halves of the data give up to {floor:.5} (95 %)"
        ))?;
    }
    Ok(())
}

fn picture(path: &Path, rows: &[Compared], split: &Split) -> Result<()> {
    let title = |row: &Comparison| {
        let score = &row.score;
        let bits = match score.bits_per_dim {
            bits if bits.is_nan() => "no ELBO".to_owned(),
            bits => format!("{bits:.3} bits/dim"),
        };
        format!("{}, T = {}: {bits}", score.format, score.steps)
    };
    let shown = 0..split.test.len().min(100);
    if let Some(levels) = split.test.levels() {
        let side = square(split.test.dim).with_context(|| {
            format!(
                "{}: the data has no square number of dimensions to draw",
                path.display()
            )
        })?;
        let mut panels = vec![Panel {
            title: "held-out data".to_owned(),
            images: shown.filter_map(|r| split.test.row_bytes(r)).collect(),
        }];
        for Compared { row, samples } in rows {
            if let Some(Samples::Levels(images)) = samples {
                panels.push(Panel {
                    title: title(row),
                    images: images.iter().take(100).cloned().collect(),
                });
            }
        }
        return write_grid(path, &panels, side, side, levels);
    }
    let mut panels = vec![Traces {
        title: "held-out data".to_owned(),
        rows: shown.map(|r| split.test.kind.to_raw(split.test.row(r))).collect(),
    }];
    for Compared { row, samples } in rows {
        if let Some(Samples::Values(values)) = samples {
            panels.push(Traces {
                title: title(row),
                rows: values.iter().take(100).cloned().collect(),
            });
        }
    }
    write_traces(path, &panels)
}
