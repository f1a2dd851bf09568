//! The table as Markdown.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use serde_json::Value;

/// Rows of the data that models were made from.
#[derive(Debug, PartialEq)]
pub struct Parts {
    /// Name of the set.
    pub data: String,
    /// Numbers of rows to train on, for choices, and held out.
    pub rows: [u64; 3],
}

impl Parts {
    /// Returns a name for a folder.
    pub fn name(&self) -> String {
        let [train, validation, test] = self.rows;
        format!("{}-{train}-{validation}-{test}", self.data)
    }
}

/// Numbers of a file of samples or real rows.
#[derive(Debug)]
pub struct Measured {
    held_out: f64,
    all: f64,
    confidence: f64,
    below_half: f64,
}

impl Measured {
    /// Reads an answer of `host-train distance` and one of the judge.
    pub fn parse(distance: &Value, judged: &Value) -> Result<Self> {
        Ok(Self {
            held_out: number(distance, "held_out")?,
            all: number(distance, "all")?,
            confidence: number(judged, "confidence")?,
            below_half: number(judged, "below_half")?,
        })
    }
}

/// A row of the table.
#[derive(Debug)]
pub struct Row {
    name: String,
    /// Its samples, or rows of the data.
    pub file: PathBuf,
    /// Mean and standard error of the bits per dimension of held-out rows; `None` for the data itself.
    bits: Option<(f64, f64)>,
    /// Numbers of the samples, once they are measured.
    pub measured: Option<Measured>,
}

impl Row {
    /// Row of a part of the data.
    pub fn real(name: &str, file: PathBuf) -> Self {
        Self {
            name: name.to_owned(),
            file,
            bits: None,
            measured: None,
        }
    }

    /// Row of a mixture of Gaussians, as the tool tells it.
    pub fn mixture(told: &Value) -> Result<Self> {
        let text = |key: &str| told[key].as_str().ok_or_else(|| missing(told, key));
        let covariance = match text("kind")? {
            "full" => "full covariances",
            _ => "diagonal covariances",
        };
        let components = told["components"].as_u64().ok_or_else(|| missing(told, "components"))?;
        Ok(Self {
            name: format!("mixture of {components} Gaussians, {covariance}"),
            file: text("file")?.into(),
            bits: Some(score(told)?),
            measured: None,
        })
    }

    /// Row of a model file with its score.
    pub fn model(name: String, file: PathBuf, told: &Value) -> Result<Self> {
        Ok(Self {
            name: format!("`{name}`"),
            file,
            bits: Some(score(told)?),
            measured: None,
        })
    }

    fn line(&self, held_out: &str) -> String {
        let bits = self
            .bits
            .map_or("–".to_owned(), |(mean, error)| format!("{mean:.3} ± {error:.3}"));
        let (distances, judged) = match &self.measured {
            Some(m) => (
                // A part of the data against itself says nothing.
                match (self.bits, self.file.ends_with(held_out)) {
                    (Some(_), _) => format!("{:.4} | {:.4}", m.held_out, m.all),
                    (None, false) => format!("{:.4} | –", m.held_out),
                    (None, true) => "– | –".to_owned(),
                },
                format!("{:.3} | {:.1} %", m.confidence, 100.0 * m.below_half),
            ),
            None => ("– | –".to_owned(), "– | –".to_owned()),
        };
        format!("| {} | {bits} | {distances} | {judged} |\n", self.name)
    }
}

fn score(told: &Value) -> Result<(f64, f64)> {
    Ok((number(told, "bits_per_dim")?, number(told, "standard_error")?))
}

fn number(object: &Value, key: &str) -> Result<f64> {
    object[key].as_f64().ok_or_else(|| missing(object, key))
}

fn missing(object: &Value, key: &str) -> anyhow::Error {
    anyhow!("the field {key:?} is missing in {object}")
}

/// Returns the table of one data set.
pub fn table(parts: &Parts, rows: &[Row]) -> String {
    let [train, validation, test] = parts.rows.map(with_commas);
    let lines: String = rows.iter().map(|row| row.line("test.csv")).collect();
    format!(
        "### `{}`: {train} rows to learn from, {validation} for choices, {test} held out

| | bits/dim, held out | energy distance, held-out rows | all rows | confidence | below 0.5 |
|---|---:|---:|---:|---:|---:|
{lines}",
        parts.data
    )
}

/// Returns the explanation below the tables.
///
/// * `count`: number of samples of each model.
pub fn notes(count: u32) -> String {
    NOTES.replace("COUNT", &with_commas(count.into()))
}

/// Returns a number with a comma before every three digits.
fn with_commas(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", with_commas(number / 1000), number % 1000),
    }
}

/// Explanation, with a word for the number of samples.
const NOTES: &str = "\
COUNT samples of each model and mixture. Bits per dimension of held-out rows, ± the standard error over the rows: a
model's exact ELBO through its file, or a mixture's probability of the levels. That is exact for diagonal covariances;
for full ones it is the mean logarithm of an unbiased estimate from 64 draws, like the ELBO a bound. Mixtures are fitted
on the rows that models learn from; validation rows choose what is added to their variances and how far covariances
shrink. The energy distance is without bias (the diagonal is left out), in model units. It is between samples and the
held-out rows, or all rows, most of which were learned from. Confidence is the mean probability that a support vector
machine (radial basis functions, C = 10) gives its own answer, and the last column the share of images below one half.
It learned from UCI's 3,823 labeled training digits, by other writers than those of `digits`. A model of `optdigits`
learns the same writers' hands, and its training rows are the judge's own.
";

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn measured() -> Option<Measured> {
        let distance = json!({"file": "x.csv", "rows": 10, "held_out": 0.0123, "all": 0.00456});
        let judged = json!({"file": "x.csv", "confidence": 0.9514, "below_half": 0.0202});
        Some(Measured::parse(&distance, &judged).unwrap())
    }

    #[test]
    fn every_kind_of_row_is_shown() {
        let mut rows = vec![
            Row::real("real, held-out rows", "f/test.csv".into()),
            Row::real("real, training rows", "f/train.csv".into()),
            Row::mixture(
                &json!({"file": "m.csv", "kind": "full", "components": 20, "bits_per_dim": 2.0173,
                "standard_error": 0.0233}),
            )
            .unwrap(),
            Row::model(
                "digits-t8-f32".to_owned(),
                "d.csv".into(),
                &json!({"bits_per_dim": 1.9, "standard_error": 0.02}),
            )
            .unwrap(),
        ];
        rows.iter_mut().for_each(|row| row.measured = measured());
        let parts = Parts {
            data: "digits".to_owned(),
            rows: [1300, 200, 297],
        };
        let text = table(&parts, &rows);
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("| ")).collect();
        assert_eq!(
            lines[1..],
            [
                "| real, held-out rows | – | – | – | 0.951 | 2.0 % |",
                "| real, training rows | – | 0.0123 | – | 0.951 | 2.0 % |",
                "| mixture of 20 Gaussians, full covariances | 2.017 ± 0.023 | 0.0123 | 0.0046 | 0.951 | 2.0 % |",
                "| `digits-t8-f32` | 1.900 ± 0.020 | 0.0123 | 0.0046 | 0.951 | 2.0 % |",
            ]
        );
        assert!(text.starts_with("### `digits`: 1,300 rows to learn from, 200 for choices, 297 held out\n"));
        assert_eq!(parts.name(), "digits-1300-200-297");
    }

    #[test]
    fn the_notes_fit_a_page() {
        let notes = notes(1000);
        assert!(notes.starts_with("1,000 samples of each") && notes.lines().all(|line| line.chars().count() <= 120));
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(
            [0, 999, 1000, 1_020_003].map(with_commas),
            ["0", "999", "1,000", "1,020,003"]
        );
    }

    #[test]
    fn a_missing_number_is_named() {
        let error = Row::model("m".to_owned(), "m.csv".into(), &json!({"bits_per_dim": null})).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("the field \"bits_per_dim\" is missing in {"),
            "{error}"
        );
    }
}
