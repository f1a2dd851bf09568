use super::args::{Output, Ranks, Training};
use super::failure::conclude;
use super::interrupt::{interrupted, print_stopped, stop_flag};
use super::print::{print, print_json, score_line};
use anyhow::Result;
use host_train::export::score::{best_validation, run_result, score_weights};
use host_train::fit::{OpenRun, open_run, train_run};
use host_train::parallel::{Group, agree, join_group};
use host_train::progress::Progress;
use host_train::train::Outcome;
use host_train::train::checkpoint::WEIGHTS;
use std::process::ExitCode;

/// Arguments of `host-train train`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    training: Training,
    /// Stop with a checkpoint once this many optimizer steps are done, as Ctrl-C would
    #[arg(long)]
    stop_at: Option<u64>,
    #[command(flatten)]
    ranks: Ranks,
    #[command(flatten)]
    output: Output,
}

impl Args {
    /// Runs the command.
    pub fn run(self, quiet: bool) -> Result<ExitCode> {
        let group = open_group(self.ranks.mpi)?;
        // The other ranks are idle while the first evaluates.
        conclude(&*group, self.run_in(&*group, quiet))
    }

    fn run_in(&self, group: &dyn Group, quiet: bool) -> Result<ExitCode> {
        let request = self.training.request();
        let quiet_here = quiet || !group.leads();
        let progress = Progress::new(0, "reading the data").quiet_if(quiet_here);
        let mut open = agree(group, open_run(&request, &progress))?;
        progress.finish();
        let command = format!(
            "host-train train {}{}",
            self.training.resume_arguments()?,
            if self.ranks.mpi { " --mpi" } else { "" }
        );
        let stop = agree(group, stop_flag(group, &command))?;
        let outcome = train_run(group, &mut open, &request.start, &stop, self.stop_at, quiet)?;
        match outcome {
            _ if !group.leads() => Ok(match outcome {
                Outcome::Finished => ExitCode::SUCCESS,
                Outcome::Interrupted => interrupted(),
            }),
            Outcome::Finished => self.print_score(&open, quiet),
            Outcome::Interrupted => {
                let run = &open.run;
                Ok(print_stopped(run.optimizer.step, run.config.train.steps, &command))
            }
        }
    }

    /// Scores the weights once all steps are done.
    fn print_score(&self, open: &OpenRun, quiet: bool) -> Result<ExitCode> {
        let OpenRun { run, split, folder } = open;
        let progress = Progress::new(0, "scoring the weights").quiet_if(quiet);
        let score = score_weights(split, folder, &progress)?;
        progress.finish();
        if self.output.json {
            print_json(&run_result(run, folder, &score))?;
        } else {
            let weights = folder.join(WEIGHTS);
            if let Some(best) = best_validation(run) {
                print(format_args!(
                    "{}: best on the validation rows after step {} of {}, ELBO {:.4} bits/dim",
                    weights.display(),
                    best.step,
                    run.optimizer.step,
                    best.bits_per_dim
                ))?;
            }
            if let Some((least, largest)) = score.gains {
                print(format_args!(
                    "{}: gains of the output fitted on the validation rows, {least:.3} to {largest:.3}",
                    weights.display()
                ))?;
            }
            print(format_args!(
                "{}: held-out ELBO {}",
                weights.display(),
                score_line(&score.held_out)
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Opens the group of the processes that work on this command together.
pub fn open_group(mpi: bool) -> Result<Box<dyn Group>> {
    let group = join_group(mpi)?;
    if mpi && group.size() == 1 {
        eprintln!("--mpi finds one process: start several with `mpirun -n 4 host-train …` or srun (docs/mpi.md)");
    }
    Ok(group)
}
