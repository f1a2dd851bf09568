use super::args::{Data, Output};
use super::print::{print, print_json};
use anyhow::{Context, Result, ensure};
use host_train::data::load_rows;
use host_train::progress::Progress;
use host_train::runtime::data_distance::{DataDistance, measure_distance};
use host_train::runtime::model_file::ModelFile;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `host-train distance`.
#[derive(clap::Args)]
pub struct Args {
    /// Files of samples (.csv, .csv.gz, .npy, .npz), in the units of the data
    #[arg(required = true)]
    samples: Vec<PathBuf>,
    /// A model file (.vdm), which names the data
    #[arg(long, required_unless_present = "config")]
    model: Option<PathBuf>,
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    output: Output,
}

impl Args {
    /// Runs the command.
    pub fn run(self, quiet: bool) -> Result<ExitCode> {
        let split = self.data.load(|| {
            let model = self.model.as_ref().context("name a --model or a --config")?;
            ModelFile::read(model)?.data()
        })?;
        let progress = Progress::new(0, "measuring").quiet_if(quiet);
        progress.begin("measuring the energy distance", self.samples.len() as u64);
        let mut found = Vec::new();
        for file in &self.samples {
            let rows = load_rows(file, &split.test)?;
            ensure!(
                rows.len() > 1,
                "{} has one row: a distance needs at least 2",
                file.display()
            );
            found.push(measure_distance(&rows, &split));
            progress.advance(1);
        }
        progress.finish();
        match self.output.json {
            true => print_json(&found)?,
            false => print_table(&found)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print_table(found: &[DataDistance]) -> Result<()> {
    print("energy distance D2 without bias, in model units: 0 for one distribution")?;
    print(format_args!(
        "{:>8} {:>13} {:>9}  file",
        "rows", "held-out rows", "all rows"
    ))?;
    for DataDistance {
        file,
        rows,
        held_out,
        all,
    } in found
    {
        let held_out = held_out.map_or("-".to_owned(), |d| format!("{d:.5}"));
        print(format_args!("{rows:>8} {held_out:>13} {all:>9.5}  {file}"))?;
    }
    Ok(())
}
