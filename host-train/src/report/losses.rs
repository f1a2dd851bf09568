//! Loss log of a training, one row per logged step.

use std::path::Path;

use anyhow::{Context, anyhow, bail, ensure};

/// Columns that a log must have, in any order. `held_out` is optional.
const COLUMNS: [&str; 5] = ["step", "total", "reconstruction", "prior", "diffusion"];
const HELD_OUT: &str = "held_out";

/// A row of the loss log as a file holds it, in bits per dimension.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct LoggedLoss {
    /// Optimizer steps made so far.
    pub step: u64,
    /// Negative ELBO: the sum of the three terms.
    pub total: f64,
    /// Reconstruction term.
    pub reconstruction: f64,
    /// Prior term.
    pub prior: f64,
    /// Diffusion term.
    pub diffusion: f64,
    /// Negative ELBO of held-out rows, where it was measured.
    pub held_out: Option<f64>,
}

/// Reads a log with the header `step,total,reconstruction,prior,diffusion`. A column `held_out` may follow, empty where
/// it was not measured.
pub fn read_losses(path: &Path) -> anyhow::Result<Vec<LoggedLoss>> {
    let shown = path.display();
    let unreadable = |error| anyhow!("{shown} cannot be read ({error}): give the log of a training run");
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .trim(csv::Trim::All)
        .from_path(path)
        .map_err(unreadable)?;
    let header = reader.headers().map_err(unreadable)?.clone();
    let position = |name: &str| header.iter().position(|column| column == name);
    let mut places = [0; COLUMNS.len()];
    for (place, name) in places.iter_mut().zip(COLUMNS) {
        *place = position(name).with_context(|| {
            format!(
                "{shown} has no column {name:?}: its first row must be {}",
                COLUMNS.join(",")
            )
        })?;
    }
    let held_out = position(HELD_OUT);

    let mut rows = Vec::new();
    for (record, row) in reader.records().zip(2..) {
        let record = record.map_err(unreadable)?;
        let number = |place: usize, name: &str| -> anyhow::Result<f64> {
            let text = record.get(place).unwrap_or("");
            text.parse()
                .map_err(|_| anyhow!("{shown}, row {row}, {name}: {text:?} is not a number; correct or remove the row"))
        };
        let mut values = [0.0; COLUMNS.len()];
        for ((value, place), name) in values.iter_mut().zip(places).zip(COLUMNS) {
            *value = number(place, name)?;
        }
        let [step, total, reconstruction, prior, diffusion] = values;
        ensure!(
            step >= 0.0 && step.fract() == 0.0,
            "{shown}, row {row}, step: {step} does not count steps; correct the row"
        );
        let held_out = match held_out.and_then(|place| record.get(place).map(|text| (place, text))) {
            Some((place, text)) if !text.is_empty() => Some(number(place, HELD_OUT)?),
            _ => None,
        };
        rows.push(LoggedLoss {
            step: step as u64,
            total,
            reconstruction,
            prior,
            diffusion,
            held_out,
        });
    }
    if rows.is_empty() {
        bail!("{shown} holds no rows: give the log of a training run that has made a step");
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<LoggedLoss>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("losses.csv");
        std::fs::write(&path, text).unwrap();
        read_losses(&path).map_err(|error| format!("{error:#}").replace(&format!("{}/", folder.path().display()), ""))
    }

    #[test]
    fn a_log_is_read_with_and_without_held_out_values() {
        let plain = read("step,total,reconstruction,prior,diffusion\n100,3.5,1,0.5,2\n").unwrap();
        let expected = LoggedLoss {
            step: 100,
            total: 3.5,
            reconstruction: 1.0,
            prior: 0.5,
            diffusion: 2.0,
            held_out: None,
        };
        assert_eq!(plain, [expected]);
        let measured = read("step,total,reconstruction,prior,diffusion,held_out\n100,3.5,1,0.5,2,\n200,3,1,0,2,2.5\n");
        assert_eq!(
            measured.unwrap().iter().map(|row| row.held_out).collect::<Vec<_>>(),
            [None, Some(2.5)]
        );
    }

    #[test]
    fn wrong_logs_are_named() {
        assert_eq!(
            read("step,total\n1,2\n").unwrap_err(),
            "losses.csv has no column \"reconstruction\": its first row must be step,total,reconstruction,prior,diffusion"
        );
        let header = "step,total,reconstruction,prior,diffusion\n";
        assert_eq!(
            read(&format!("{header}1,2,3,4,5\n2,2,x,4,5\n")).unwrap_err(),
            "losses.csv, row 3, reconstruction: \"x\" is not a number; correct or remove the row"
        );
        assert!(
            read(&format!("{header}2,2\n"))
                .unwrap_err()
                .starts_with("losses.csv, row 2, reconstruction: \"\" is")
        );
        assert!(read(header).unwrap_err().starts_with("losses.csv holds no rows"));
        assert!(
            read_losses(Path::new("nowhere.csv"))
                .unwrap_err()
                .to_string()
                .starts_with("nowhere.csv cannot be read")
        );
    }
}
