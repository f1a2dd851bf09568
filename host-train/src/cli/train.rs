use super::{failure, group, print, print_json};
use anyhow::{Context, Result, bail, ensure};
use candle_core::Device;
use host_train::data::{self, Split};
use host_train::export::float_spec;
use host_train::parallel::{Group, agree};
use host_train::runtime::evaluate::{Evaluation, evaluate};
use host_train::runtime::model_file::ModelFile;
use host_train::study::paths::Path as GammaPath;
use host_train::study::step_search::{Settings, Study, refit};
use host_train::train::checkpoint::{CHECKPOINT, Run, WEIGHTS, put_aside};
use host_train::train::config::{Config, Time};
use host_train::train::device;
use host_train::train::same::check_same_start;
use host_train::train::{LOSSES, Outcome, Session, train};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a program that was stopped by Ctrl-C exits with, by custom.
const INTERRUPTED: u8 = 130;

#[derive(clap::Args)]
pub struct Args {
    /// The run's configuration (TOML)
    config: PathBuf,
    /// Folder for the checkpoint, the weights and the loss log [default: runs/<name of the configuration>]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Begin with the network of this checkpoint or run, and with the steps that suit it best: for a configuration with fewer steps or
    /// variances of its own
    #[arg(long, conflicts_with = "resume")]
    from: Option<PathBuf>,
    /// Go on from the folder's checkpoint
    #[arg(long)]
    resume: bool,
    /// Train this many steps instead of the configuration's
    #[arg(long)]
    steps: Option<u64>,
    /// Steps of the chain, T, instead of the configuration's model.steps
    #[arg(long)]
    chain_steps: Option<usize>,
    /// Use this seed instead of the configuration's
    #[arg(long)]
    seed: Option<u64>,
    /// Stop with a checkpoint once this many steps are done, as Ctrl-C would
    #[arg(long)]
    stop_at: Option<u64>,
    /// Share every batch among the processes that mpirun or srun has started (needs a build with the `mpi` feature)
    #[arg(long)]
    mpi: bool,
    /// Train on the first NVIDIA GPU (needs a build with the `cuda` feature)
    #[arg(long)]
    cuda: bool,
    /// Print one JSON object with the result and nothing else
    #[arg(long)]
    json: bool,
}

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        let group = group(self.mpi)?;
        // The others are idle while the first evaluates.
        failure::conclude(&*group, self.among(&*group))
    }

    fn among(&self, group: &dyn Group) -> Result<ExitCode> {
        let (mut run, split, folder) = agree(group, self.begun())?;
        check_same_start(group, &run, &split.train)?;
        // What an earlier run left is worth keeping, and must not pass for this one's.
        let stale: &[&str] = match self.resume {
            false => &[CHECKPOINT, WEIGHTS, LOSSES],
            true if run.optimizer.step < run.config.train.steps => &[WEIGHTS],
            true => &[],
        };
        let old = if group.leads() {
            put_aside(&folder, stale)
        } else {
            Ok(None)
        };
        if let Some(old) = agree(group, old)? {
            eprintln!("what an earlier run left is now in {}", old.display());
        }
        let stop = agree(group, self.until_told(group, &folder))?;
        let session = Session {
            group,
            folder: &folder,
            stop: &stop,
            stop_at: self.stop_at,
            quiet: self.json,
        };
        let outcome = trained(&mut run, &split, &session)?;
        match outcome {
            _ if !group.leads() => Ok(match outcome {
                Outcome::Finished => ExitCode::SUCCESS,
                Outcome::Interrupted => ExitCode::from(INTERRUPTED),
            }),
            Outcome::Finished => self.finished(&run, &split, &folder),
            Outcome::Interrupted => {
                eprintln!(
                    "stopped at step {} of {}; go on with: {}",
                    run.optimizer.step,
                    run.config.train.steps,
                    self.again(&folder)
                );
                Ok(ExitCode::from(INTERRUPTED))
            }
        }
    }

    /// The run as it begins, its data, and its folder.
    fn begun(&self) -> Result<(Run, Split, PathBuf)> {
        let mut config = Config::read(&self.config)?;
        if let Some(steps) = self.steps {
            config.train.steps = steps;
        }
        if let Some(steps) = self.chain_steps {
            ensure!(
                (1..=65_534).contains(&steps),
                "--chain-steps {steps}: between 1 and 65534 is possible"
            );
            config.model.steps = steps;
        }
        if let Some(seed) = self.seed {
            config.seed = seed;
        }
        let folder = match &self.out {
            Some(out) => out.clone(),
            None => Path::new("runs").join(self.config.file_stem().context("the configuration has no name")?),
        };
        let device = device::select_device(self.cuda)?;
        device::require_counter_rng(&mut config, &device);
        let split = data::load(&config.data, self.config.parent().unwrap_or(Path::new("")))?;
        let checkpoint = folder.join(CHECKPOINT);
        let run = match &self.from {
            Some(base) => continued(config, base, &split, &device)?,
            None if self.resume => self.resumed(config, &checkpoint, &device)?,
            None => Run::for_data(config, &split, &device)?,
        };
        Ok((run, split, folder))
    }

    /// What Ctrl-C, or the end of the time that a scheduler grants, sets.
    fn until_told(&self, group: &dyn Group, folder: &Path) -> Result<Arc<AtomicBool>> {
        let stop = Arc::new(AtomicBool::new(false));
        let handler = Arc::clone(&stop);
        let watch = group.watch();
        // One of the first two is left to say it, whichever rank is gone.
        let speaks = group.rank() < 2;
        let lost = format!(
            "error: a rank does not answer, perhaps because it has died: the last checkpoint is whole, go on from it with: {}",
            self.again(folder)
        );
        ctrlc::set_handler(move || {
            // The second Ctrl-C does not wait.
            if handler.swap(true, Ordering::Relaxed) {
                std::process::exit(i32::from(INTERRUPTED));
            }
            let (watch, lost) = (watch.clone(), lost.clone());
            std::thread::spawn(move || {
                watch.wait_until_stalled();
                if speaks {
                    eprintln!("{lost}");
                } else {
                    // `mpirun` kills all ranks once one has left with an error: those that speak come first.
                    std::thread::sleep(std::time::Duration::from_millis(300));
                }
                std::process::exit(1);
            });
        })
        .context("Ctrl-C cannot be caught")?;
        Ok(stop)
    }

    /// The command that goes on with this run.
    fn again(&self, folder: &Path) -> String {
        format!(
            "host-train train {} --out {} --resume{}{}{}{}{}",
            self.config.display(),
            folder.display(),
            self.steps.map_or(String::new(), |steps| format!(" --steps {steps}")),
            self.seed.map_or(String::new(), |seed| format!(" --seed {seed}")),
            self.chain_steps
                .map_or(String::new(), |steps| format!(" --chain-steps {steps}")),
            if self.mpi { " --mpi" } else { "" },
            if self.cuda { " --cuda" } else { "" },
        )
    }

    /// What is done once all steps are: a score.
    fn finished(&self, run: &Run, split: &Split, folder: &Path) -> Result<ExitCode> {
        let (weights, score) = (folder.join(WEIGHTS), scored(split, folder)?);
        if self.json {
            print_json(&result(run, folder, &score))?;
        } else {
            print(format_args!(
                "{}: held-out ELBO {:.4} bits/dim (reconstruction {:.4}, prior {:.4}, diffusion {:.4})",
                weights.display(),
                score.bits_per_dim,
                score.reconstruction,
                score.prior,
                score.diffusion
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The checkpoint's run under this configuration: how it is optimised may change from here on, what is trained on what may not.
    fn resumed(&self, config: Config, checkpoint: &Path, device: &Device) -> Result<Run> {
        let mut run = Run::resume(checkpoint, device)?;
        let differs = [
            ("seed", run.config.seed != config.seed),
            ("[data]", run.config.data != config.data),
            ("[model]", run.config.model != config.model),
        ];
        if let Some((part, _)) = differs.iter().find(|(_, differs)| *differs) {
            bail!(
                "{part} of {} differs from what {} was trained with: use the same, or train anew in another --out folder",
                self.config.display(),
                checkpoint.display()
            );
        }
        run.set_train(config.train);
        Ok(run)
    }
}

/// Trains a run in this process alone.
pub fn in_process(run: &mut Run, split: &Split, folder: &Path, stop: &AtomicBool) -> Result<Outcome> {
    trained(run, split, &Session::quiet(folder, stop))
}

/// Trains a run; an error for a GPU's memory says what would take less, and what is kept.
fn trained(run: &mut Run, split: &Split, session: &Session<'_>) -> Result<Outcome> {
    train(run, &split.train, session).map_err(|error| {
        let advice = format!(
            "take a smaller train.batch than {}, or fewer models at once; {} is whole",
            run.config.train.batch,
            session.folder.join(CHECKPOINT).display()
        );
        device::explain_memory_error(error, &advice)
    })
}

/// What the weights of a run that has ended score on held-out rows, after their variances are fitted, where they have any.
pub fn scored(split: &Split, folder: &Path) -> Result<Evaluation> {
    let weights = folder.join(WEIGHTS);
    let mut averaged = Run::averaged(&weights, &Device::Cpu)?;
    if averaged.variance.is_some() {
        refit(&mut averaged, split, &Settings::default())?;
        averaged.save_weights(&weights)?;
    }
    let file = ModelFile::from_bytes(&float_spec(&averaged)?.to_bytes()?, weights.display().to_string())?;
    evaluate(&file, &split.test, 1, 0)
}

/// What `--json` prints.
pub fn result(run: &Run, folder: &Path, score: &Evaluation) -> Value {
    json!({
        "steps_trained": run.optimizer.step,
        "checkpoint": folder.join(CHECKPOINT),
        "weights": folder.join(WEIGHTS),
        "held_out": score,
    })
}

/// A run that begins with another's network, and with the table that is cheapest for it.
fn continued(config: Config, base: &Path, split: &Split, device: &Device) -> Result<Run> {
    let run = Run::averaged(base, device)?;
    ensure!(
        run.dim == split.train.dim && run.kind == split.train.kind,
        "{} was not trained on the data of the configuration",
        base.display()
    );
    let study = Study::new(&run, split, &Settings::default())?;
    // In the limit there is no best path; the learned one is as good a beginning as any.
    let path = match config.model.time {
        Time::Discrete => GammaPath::Best,
        Time::Continuous => GammaPath::Learned,
    };
    let table = study.table(path, config.model.variance, config.model.steps)?;
    Run::continued(config, &run, &table.gamma, table.variance().as_ref())
        .with_context(|| format!("cannot go on from {}", base.display()))
}
