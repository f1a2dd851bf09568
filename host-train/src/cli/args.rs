//! Arguments that several commands share.

use ancestral::FormatId;
use anyhow::{Result, ensure};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use host_train::data::{DataSpec, Dataset, Split};
use host_train::export::quantize::finetune::FineTune;
use host_train::export::source;
use host_train::fit::{RunRequest, Start};
use host_train::runtime::sample::SAMPLE_SEED;
use host_train::train::checkpoint::Run;
use std::path::PathBuf;

/// A checkpoint and its data.
#[derive(clap::Args)]
pub struct Source {
    /// A checkpoint, or the folder of a run
    checkpoint: PathBuf,
    #[command(flatten)]
    data: Data,
}

impl Source {
    /// Reads the run, with its averaged parameters in place, and its data.
    pub fn load(&self) -> Result<(Run, Split)> {
        source::load_run(&self.checkpoint, self.data.config.as_deref())
    }
}

/// The data of a command.
#[derive(clap::Args)]
pub struct Data {
    /// Take the data from this configuration instead of the model's own
    #[arg(long)]
    pub config: Option<PathBuf>,
}

impl Data {
    /// Loads the data of the configuration, or else what `own` names.
    pub fn load(&self, own: impl FnOnce() -> Result<DataSpec>) -> Result<Split> {
        source::load_data(own, self.config.as_deref())
    }
}

/// A part of the data.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Part {
    /// Rows that the model learns from
    Train,
    /// Rows that choices are made on
    Validation,
    /// Rows held back for evaluation
    Test,
}

impl Part {
    /// Takes the part out of a split; there must be rows in it.
    pub fn choose(self, split: Split) -> Result<Dataset> {
        let part = match self {
            Part::Train => split.train,
            Part::Validation => split.validation,
            Part::Test => split.test,
        };
        ensure!(
            !part.is_empty(),
            "this part has no rows: set `validation_rows` in the configuration, or name another part"
        );
        Ok(part)
    }
}

/// The form of a command's output.
#[derive(clap::Args)]
pub struct Output {
    /// Print the result as JSON, and nothing else, on standard output
    #[arg(long)]
    pub json: bool,
}

/// A model file to write.
#[derive(clap::Args)]
pub struct ModelOut {
    /// Number format
    #[arg(long, value_parser = format_parser())]
    pub format: FormatId,
    /// Model file to write
    #[arg(long)]
    pub out: PathBuf,
}

/// Noise of an exact ELBO.
#[derive(clap::Args)]
pub struct Noise {
    /// Noise draws per row and step
    #[arg(long, default_value_t = 4)]
    pub draws: u32,
    /// Seed of the noise
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// The device of a training.
#[derive(clap::Args)]
pub struct GpuChoice {
    /// Train on the first NVIDIA GPU (needs a build with the `cuda` feature)
    #[arg(long)]
    pub cuda: bool,
}

/// The processes of a command.
#[derive(clap::Args)]
pub struct Ranks {
    /// Divide the batches, or the runs of a sweep, among the processes that mpirun or srun has started (needs a build
    /// with the `mpi` feature)
    #[arg(long)]
    pub mpi: bool,
}

/// Choice to fine-tune integer formats.
#[derive(clap::Args)]
pub struct FineTuneChoice {
    /// After calibration, train the integers of a network to reproduce the float network
    #[arg(long)]
    pub finetune: bool,
}

impl FineTuneChoice {
    /// Returns the default settings, if fine-tuning is asked for.
    pub fn settings(&self) -> Option<FineTune> {
        self.finetune.then(FineTune::default)
    }
}

/// Seed of a command that draws samples only.
#[derive(clap::Args)]
pub struct SampleSeed {
    /// Seed of the samples
    #[arg(long, default_value_t = SAMPLE_SEED)]
    pub seed: u64,
}

/// A run to train.
#[derive(clap::Args)]
pub struct Training {
    /// Configuration of the run (TOML)
    config: PathBuf,
    /// Folder for the checkpoint, the weights and the loss log [default: runs/<name of the configuration>]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Initialize from this checkpoint or run, as for fewer steps or learned variances; the ELBO chooses its γ table
    #[arg(long, conflicts_with = "resume")]
    from: Option<PathBuf>,
    /// Continue from the checkpoint in the folder
    #[arg(long)]
    resume: bool,
    /// Optimizer steps, in place of the configuration's train.steps
    #[arg(long)]
    steps: Option<u64>,
    /// Chain steps T, in place of the configuration's model.steps
    #[arg(long)]
    chain_steps: Option<usize>,
    /// Seed, in place of the configuration's
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    gpu: GpuChoice,
}

impl Training {
    /// The run that these arguments ask for.
    pub fn request(&self) -> RunRequest {
        RunRequest {
            config: self.config.clone(),
            out: self.out.clone(),
            start: match &self.from {
                Some(base) => Start::From(base.clone()),
                None if self.resume => Start::Resume,
                None => Start::New,
            },
            steps: self.steps,
            chain_steps: self.chain_steps,
            seed: self.seed,
            cuda: self.gpu.cuda,
        }
    }

    /// Returns the arguments that resume this run.
    pub fn resume_arguments(&self) -> Result<String> {
        Ok(format!(
            "{} --out {} --resume{}{}{}{}",
            self.config.display(),
            self.request().folder()?.display(),
            self.steps.map_or(String::new(), |steps| format!(" --steps {steps}")),
            self.seed.map_or(String::new(), |seed| format!(" --seed {seed}")),
            self.chain_steps
                .map_or(String::new(), |steps| format!(" --chain-steps {steps}")),
            if self.gpu.cuda { " --cuda" } else { "" },
        ))
    }
}

/// Accepts the names of the core's formats.
pub fn format_parser() -> impl TypedValueParser<Value = FormatId> {
    PossibleValuesParser::new(FormatId::ALL.iter().map(|f| f.name())).try_map(|name| {
        FormatId::ALL
            .iter()
            .copied()
            .find(|f| f.name() == name)
            .ok_or_else(|| format!("unknown format {name}"))
    })
}
