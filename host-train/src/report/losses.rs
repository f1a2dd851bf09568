//! Loss log of a training, one row per logged step.

use crate::train::log::LossRow;
use anyhow::{Context, anyhow, bail, ensure};
use std::path::Path;

/// Columns that a log must have, in any order. `validation` is optional.
const COLUMNS: [&str; 5] = ["step", "total", "reconstruction", "prior", "diffusion"];
const VALIDATION: &str = "validation";

/// Reads a log with the header `step,total,reconstruction,prior,diffusion`. A column `validation` may follow, empty
/// where it was not measured. The total is not read, because it is the sum of the terms.
pub fn read_losses(path: &Path) -> anyhow::Result<Vec<LossRow>> {
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
    let validation = position(VALIDATION);

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
        let [step, _, reconstruction, prior, diffusion] = values;
        ensure!(
            step >= 0.0 && step.fract() == 0.0,
            "{shown}, row {row}, step: {step} does not count steps; correct the row"
        );
        let validation = match validation.and_then(|place| record.get(place).map(|text| (place, text))) {
            Some((place, text)) if !text.is_empty() => Some(number(place, VALIDATION)?),
            _ => None,
        };
        rows.push(LossRow {
            step: step as u64,
            terms: [reconstruction, prior, diffusion],
            validation,
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

    fn read(text: &str) -> Result<Vec<LossRow>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("losses.csv");
        std::fs::write(&path, text).unwrap();
        read_losses(&path).map_err(|error| format!("{error:#}").replace(&format!("{}/", folder.path().display()), ""))
    }

    #[test]
    fn a_log_is_read_with_and_without_a_validation() {
        let plain = read("step,total,reconstruction,prior,diffusion\n100,3.5,1,0.5,2\n").unwrap();
        let expected = LossRow {
            step: 100,
            terms: [1.0, 0.5, 2.0],
            validation: None,
        };
        assert_eq!(plain, [expected]);
        let measured =
            read("step,total,reconstruction,prior,diffusion,validation\n100,3.5,1,0.5,2,\n200,3,1,0,2,2.5\n");
        assert_eq!(
            measured.unwrap().iter().map(|row| row.validation).collect::<Vec<_>>(),
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
