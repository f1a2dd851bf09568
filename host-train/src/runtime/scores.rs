//! Scores of rows as a table: one line per row, with its place, its label, its terms and its dimensions.

use crate::data::Dataset;
use crate::files::write_atomically;
use crate::runtime::evaluate::RowScore;
use anyhow::Result;
use std::path::Path;

/// Writes the scores of the rows of `data` as a `.csv`, in nats.
///
/// The columns are `file` (if there are several), `row` as the file counts it, `label` (if one is set aside), `total`,
/// `reconstruction`, `prior`, `diffusion`, and `nats NAME` for each column of the data.
pub fn write_scores(path: &Path, data: &Dataset, scores: &[RowScore]) -> Result<()> {
    let several = data.files.len() > 1;
    write_atomically(path, |out| {
        let mut csv = csv::Writer::from_writer(out);
        csv.write_record(header(data, several))?;
        for (index, score) in scores.iter().enumerate() {
            let mut record = Vec::new();
            if let Some(origin) = data.origins.get(index) {
                let file = data.files.get(origin.file).filter(|_| several);
                record.extend(file.cloned());
                record.push(origin.row.to_string());
            }
            let labels = data.labels.as_ref();
            record.extend(labels.and_then(|labels| labels.get(index)).cloned());
            let total: f64 = score.terms.iter().sum();
            let numbers = [total]
                .into_iter()
                .chain(score.terms)
                .chain(score.dimensions.iter().copied());
            record.extend(numbers.map(|nats| nats.to_string()));
            csv.write_record(&record)?;
        }
        Ok(csv.flush()?)
    })
}

fn header(data: &Dataset, several: bool) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    if several {
        names.push("file".to_owned());
    }
    names.push("row".to_owned());
    if data.labels.is_some() {
        names.push("label".to_owned());
    }
    names.extend(["total", "reconstruction", "prior", "diffusion"].map(str::to_owned));
    let name = |column: usize| data.columns.get(column).cloned().unwrap_or((column + 1).to_string());
    names.extend((0..data.dim).map(|column| format!("nats {}", name(column))));
    names
}
