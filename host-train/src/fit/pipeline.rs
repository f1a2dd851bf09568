//! Data → training → model files → exact likelihood → samples → report.

use super::open::{OpenRun, RunRequest, open_run};
use super::training::train_run;
use crate::data::Split;
use crate::export::quantize::Summary;
use crate::export::quantize::finetune::FineTune;
use crate::export::score::{run_result, score_weights};
use crate::export::source::keep_data_from;
use crate::export::{Recipe, export};
use crate::files::write_atomically;
use crate::parallel::SingleProcess;
use crate::progress::Progress;
use crate::report::{ReportSource, build_report, write_samples};
use crate::runtime::evaluate::{Evaluation, evaluate};
use crate::runtime::model_file::ModelFile;
use crate::runtime::sample::{Drawing, sample};
use crate::train::Outcome;
use crate::train::checkpoint::{Run, WEIGHTS};
use ancestral::FormatId;
use anyhow::Result;
use candle_core::Device;
use serde::Serialize;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// Noise draws per row and step, and their seed: those of `host-train evaluate`.
const NOISE: (u32, u64) = (4, 0);

/// Model files to make of a run.
#[derive(Clone, Debug)]
pub struct ModelPlan {
    /// Number formats, one file each.
    pub formats: Vec<FormatId>,
    /// Fine-tuning of the integer formats, if any.
    pub finetune: Option<FineTune>,
    /// Samples to draw from each file.
    pub count: usize,
    /// Seed of the samples.
    pub sample_seed: u64,
}

/// A model file, its score and its samples.
#[derive(Debug, Serialize)]
pub struct FittedModel {
    /// The model file.
    pub file: PathBuf,
    /// Number format.
    pub format: String,
    /// Score on the held-out rows.
    pub held_out: Evaluation,
    /// Report of the quantization, for an integer format.
    pub quantization: Option<Summary>,
    /// File with the samples.
    pub samples: PathBuf,
    /// Sentences for the user.
    pub warnings: Vec<String>,
}

/// The result of [`fit`].
#[derive(Debug, Serialize)]
pub struct Fitted {
    /// Result of the training, as `host-train train --json` prints it.
    pub training: Value,
    /// Model files.
    pub models: Vec<FittedModel>,
    /// The page.
    pub report: PathBuf,
    /// The picture, if the data is square.
    pub picture: Option<PathBuf>,
}

/// Trains a run, makes its model files, scores them, draws samples and writes a report.
///
/// Everything lies in the folder of the run: `<name>-<format>.vdm`, its score beside it as `.json`,
/// `samples-<format>.csv`, `report.html`, and `grid.png` if the data is square. Returns only the run if it was
/// stopped.
///
/// * `stop`: set from outside to end the training early with a checkpoint;
/// * `quiet`: show no progress of the training.
pub fn fit(
    request: &RunRequest,
    plan: &ModelPlan,
    stop: &AtomicBool,
    quiet: bool,
) -> Result<(OpenRun, Option<Fitted>)> {
    let progress = Progress::new(0, "reading the data").quiet_if(quiet);
    let mut open = open_run(request, &progress)?;
    progress.finish();
    if train_run(&SingleProcess, &mut open, &request.start, stop, None, quiet)? == Outcome::Interrupted {
        return Ok((open, None));
    }
    let OpenRun { run, split, folder } = &open;
    let progress = Progress::new(0, "scoring the weights").quiet_if(quiet);
    let training = run_result(run, folder, &score_weights(split, folder, &progress)?);
    let name = request.name()?;
    let formats = plan.formats.iter();
    let models = formats
        .map(|format| make_model(*format, plan, split, &folder.join(&name), &progress))
        .collect::<Result<Vec<_>>>()?;
    let report = folder.join("report.html");
    let files: Vec<PathBuf> = models.iter().map(|model| model.file.clone()).collect();
    let source = ReportSource {
        run: folder,
        models: &files,
        board: None,
        config: Some(&request.config),
        seed: plan.sample_seed,
    };
    let picture = build_report(&source, &report, &progress)?.picture;
    progress.finish();
    let fitted = Fitted {
        training,
        models,
        report,
        picture,
    };
    Ok((open, Some(fitted)))
}

/// Makes the model file of one format, with its score and its samples.
///
/// * `base`: folder and name of the files, without format and extension.
fn make_model(
    format: FormatId,
    plan: &ModelPlan,
    split: &Split,
    base: &Path,
    progress: &Progress,
) -> Result<FittedModel> {
    let file = PathBuf::from(format!("{}-{format}.vdm", base.display()));
    let mut averaged = Run::averaged(&base.with_file_name(WEIGHTS), &Device::Cpu)?;
    keep_data_from(&mut averaged, &file);
    let recipe = Recipe {
        finetune: plan.finetune.filter(|_| format.is_integer()),
        ..Recipe::plain(format)
    };
    let exported = export(&averaged, &recipe, &split.train, progress)?;
    exported.write(&file)?;
    let model = ModelFile::read(&file)?;
    let (draws, seed) = NOISE;
    let held_out = evaluate(&model, &split.test, draws, seed, progress)?;
    let score = format!("{}\n", serde_json::to_string(&held_out)?);
    write_atomically(&file.with_extension("json"), |out| Ok(out.write_all(score.as_bytes())?))?;
    let drawn = sample(&model, plan.count, plan.sample_seed, Drawing::default(), progress)?;
    let samples = base.with_file_name(format!("samples-{format}.csv"));
    write_samples(&samples, &drawn, model.header().levels, &split.train.columns)?;
    Ok(FittedModel {
        file,
        format: format.name().to_owned(),
        held_out,
        quantization: exported.summary,
        samples,
        warnings: exported.warnings,
    })
}
