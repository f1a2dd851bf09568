//! A contender: a process that answers one JSON object per line.

use super::task::Task;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The PyTorch contender, a Python program.
pub const SCRIPT: &str = include_str!("../../bench/partner.py");

/// A request to a contender.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
pub enum Request {
    /// Build a network from the files of a folder.
    Prepare {
        /// Operations to use: `candle`, `fused` or `graphs` here; `eager`, `compiled` or `graphs` in PyTorch.
        mode: String,
        /// Network, batch and optimizer.
        task: Task,
        /// Folder that [`Task::write`] wrote into.
        folder: PathBuf,
    },
    /// Train, and answer the loss of each step.
    Losses {
        /// Number of steps.
        steps: u64,
    },
    /// Train, and answer the seconds that it took.
    Time {
        /// Number of steps.
        steps: u64,
    },
    /// Answer the operations per second of a product of large matrices, in the prepared number format.
    Rate,
}

/// An answer; fields that were not asked for are empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    name: String,
    error: Option<String>,
    losses: Vec<f64>,
    seconds: f64,
    flops: f64,
}

/// A running contender. It ends when this is dropped.
pub struct Partner {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Partner {
    /// Starts the contender and waits for its name. An error says why it cannot take part.
    pub fn start(command: &mut Command) -> Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {program}: check that it is installed and executable"))?;
        let output = child.stdout.take().context("its standard output is missing")?;
        let mut partner = Self {
            name: program,
            input: child.stdin.take(),
            output: BufReader::new(output),
            child,
        };
        partner.name = partner.receive()?.name;
        Ok(partner)
    }

    /// Name that the contender gave itself.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Has the contender build a network.
    pub fn prepare(&mut self, mode: &str, task: &Task, folder: &std::path::Path) -> Result<()> {
        self.ask(&Request::Prepare {
            mode: mode.to_owned(),
            task: task.clone(),
            folder: folder.to_owned(),
        })?;
        Ok(())
    }

    /// Trains the next steps and returns their losses.
    pub fn losses(&mut self, steps: u64) -> Result<Vec<f64>> {
        Ok(self.ask(&Request::Losses { steps })?.losses)
    }

    /// Trains the next steps and returns the seconds that they took.
    pub fn time(&mut self, steps: u64) -> Result<f64> {
        Ok(self.ask(&Request::Time { steps })?.seconds)
    }

    /// Measures the floating-point operations per second of a product of large matrices.
    pub fn rate(&mut self) -> Result<f64> {
        Ok(self.ask(&Request::Rate)?.flops)
    }

    fn ask(&mut self, request: &Request) -> Result<Answer> {
        let input = self.input.as_mut().context("the contender has ended: start it again")?;
        writeln!(input, "{}", serde_json::to_string(request)?).with_context(|| format!("{} has ended", self.name))?;
        input.flush()?;
        self.receive()
    }

    fn receive(&mut self) -> Result<Answer> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            bail!("{} has ended without an answer: run it by itself to see why", self.name);
        }
        let answer: Answer = serde_json::from_str(&line)
            .with_context(|| format!("{} answered something that is not an answer to the request", self.name))?;
        match answer.error {
            Some(error) => bail!("{}: {error}", self.name),
            None => Ok(answer),
        }
    }
}

impl Drop for Partner {
    fn drop(&mut self) {
        // It ends when its input does; one that does not is killed.
        drop(self.input.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
