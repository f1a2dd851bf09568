//! A contender: a process that answers one JSON object per line.

use super::Task;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// What a contender is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
pub enum Request {
    /// Build a network from the files of a folder.
    Prepare {
        /// How it computes.
        mode: String,
        /// What it computes.
        task: Task,
        /// Where [`Task::write`] wrote.
        folder: PathBuf,
    },
    /// Train and answer the loss of each step.
    Losses {
        /// How many steps.
        steps: u64,
    },
    /// Train and answer how long it took.
    Time {
        /// How many steps.
        steps: u64,
    },
    /// Answer how fast large matrices are multiplied, as prepared for.
    Rate,
}

/// What it answers; what was not asked for is empty.
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
    /// Starts it and waits for its name; an error says why it cannot take part.
    pub fn start(command: &mut Command) -> Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("{program} could not be started"))?;
        let output = child.stdout.take().context("its standard output is missing")?;
        let mut partner = Self {
            name: program,
            input: child.stdin.take(),
            output: BufReader::new(output),
            child,
        };
        partner.name = partner.hear()?.name;
        Ok(partner)
    }

    /// What it calls itself.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Builds a network.
    pub fn prepare(&mut self, mode: &str, task: &Task, folder: &std::path::Path) -> Result<()> {
        self.ask(&Request::Prepare {
            mode: mode.to_owned(),
            task: task.clone(),
            folder: folder.to_owned(),
        })?;
        Ok(())
    }

    /// The losses of the next steps.
    pub fn losses(&mut self, steps: u64) -> Result<Vec<f64>> {
        Ok(self.ask(&Request::Losses { steps })?.losses)
    }

    /// Seconds that the next steps take.
    pub fn time(&mut self, steps: u64) -> Result<f64> {
        Ok(self.ask(&Request::Time { steps })?.seconds)
    }

    /// Floating-point operations per second of a product of large matrices.
    pub fn rate(&mut self) -> Result<f64> {
        Ok(self.ask(&Request::Rate)?.flops)
    }

    fn ask(&mut self, request: &Request) -> Result<Answer> {
        let input = self.input.as_mut().context("it has ended")?;
        writeln!(input, "{}", serde_json::to_string(request)?).with_context(|| format!("{} has ended", self.name))?;
        input.flush()?;
        self.hear()
    }

    fn hear(&mut self) -> Result<Answer> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            bail!("{} has ended without an answer", self.name);
        }
        let answer: Answer =
            serde_json::from_str(&line).with_context(|| format!("{} answered something else", self.name))?;
        match answer.error {
            Some(error) => bail!("{}: {error}", self.name),
            None => Ok(answer),
        }
    }
}

impl Drop for Partner {
    fn drop(&mut self) {
        // Its input ends, and so does it; if it does not, it is of no more use.
        drop(self.input.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
