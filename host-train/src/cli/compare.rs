use super::args::{Data, Noise, Output};
use super::print::{print, print_json};
use anyhow::{Context, Result, ensure};
use host_train::data::Split;
use host_train::progress::Progress;
use host_train::report::draw_compared;
use host_train::runtime::compare::{CompareSettings, Compared, Comparison, compare};
use host_train::runtime::model_file::ModelFile;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `host-train compare`.
#[derive(clap::Args)]
pub struct Args {
    /// Model files (.vdm) of one data set; differences refer to the first in f32
    #[arg(required = true)]
    models: Vec<PathBuf>,
    /// Samples to draw from each file for the distance to the data; 0 leaves the distance out
    #[arg(long, default_value_t = 10_000)]
    samples: usize,
    #[command(flatten)]
    noise: Noise,
    /// Also score the f32 network with its state in Q3.12: the cost of fixed point before the network is quantized
    #[arg(long)]
    state: bool,
    #[command(flatten)]
    data: Data,
    /// Draw a hundred rows of the data and of each file's samples into this PNG
    #[arg(long)]
    picture: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

impl Args {
    /// Runs the command.
    pub fn run(self, quiet: bool) -> Result<ExitCode> {
        ensure!(
            self.samples != 1,
            "--samples 1 has no distance: give at least 2, or 0 for none"
        );
        ensure!(
            self.samples > 0 || self.picture.is_none(),
            "--picture draws samples: give --samples more than 0"
        );
        let files: Vec<ModelFile> = self.models.iter().map(|m| ModelFile::read(m)).collect::<Result<_>>()?;
        let first = files.first().context("name at least one model file")?;
        let split = self.data.load(|| first.data())?;
        let settings = CompareSettings {
            draws: self.noise.draws,
            samples: self.samples,
            seed: self.noise.seed,
            state: self.state,
        };
        let progress = Progress::new(0, "comparing").quiet_if(quiet);
        let rows = compare(&files, &split, &settings, &progress)?;
        progress.finish();
        if self.output.json {
            print_json(&rows.iter().map(|r| &r.row).collect::<Vec<_>>())?;
        } else {
            print_table(&rows, &split)?;
        }
        // Last: a path that cannot be written must not cost the numbers.
        if let Some(path) = &self.picture {
            draw_compared(path, &rows, &split)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print_table(rows: &[Compared], split: &Split) -> Result<()> {
    let Some(Compared { row: first, .. }) = rows.first() else {
        return Ok(());
    };
    print(format_args!(
        "{} held-out rows of {}, {} noise draws per row and step; bits/dim",
        first.score.rows, split.test.name, first.score.draws
    ))?;
    print(format_args!(
        "{:<13} {:>4} {:>5} {:>8} {:>7} {:>9} {:>9} {:>9} {:>7} {:>10} {:>7} {:>11} {:>10} {:>5}",
        "format",
        "T",
        "calls",
        "reconstr",
        "prior",
        "diffusion",
        "-ELBO",
        "delta",
        "+-",
        "file",
        "RAM",
        "MAC/sample",
        "energy D2",
        "var"
    ))?;
    for Compared { row, .. } in rows {
        let Comparison { score, .. } = row;
        print(format_args!(
            "{:<13} {:>4} {:>5} {:>8.4} {:>7.4} {:>9.4} {:>9.4} {:>+9.4} {:>7.4} {:>10} {:>7} {:>11} {:>10} {:>5}",
            score.format,
            score.steps,
            score.calls,
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
            row.variance.map_or("-".to_owned(), |v| format!("{:.2}", v.overall)),
        ))?;
    }
    if let Some(floor) = first.energy_floor {
        print(format_args!(
            "energy D2: 0 for one distribution; random halves of the data give up to {floor:.5} (95 %)"
        ))?;
        print("var: variance of the samples, as a multiple of the training rows'")?;
    }
    Ok(())
}
