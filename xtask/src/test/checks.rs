//! Checks that are counted, timed and named where they are left out.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::paths;
use crate::process;

/// Environment variable with the folder in which a test says that it was left out: a file of its name with the line
/// `test: reason`.
pub const SKIPPED: &str = "ANCESTRAL_SKIPPED";

/// Result of a check that did not fail.
#[derive(Debug)]
pub enum Outcome {
    /// It ran.
    Passed,
    /// It was left out, with the reason.
    Skipped(String),
}

/// Counts the checks, prints a heading for each, and sums up.
#[derive(Debug, Default)]
pub struct Checks {
    passed: usize,
    /// Title and seconds.
    times: Vec<(String, f64)>,
    /// Title or test, and reason.
    left_out: Vec<String>,
    /// Folder of [`SKIPPED`]; none in tests of this type.
    folder: Option<PathBuf>,
}

impl Checks {
    /// Begins with no check and an empty folder for tests that are left out.
    pub fn start() -> Result<Self> {
        let folder = paths::target().join("skipped-tests");
        let cannot_write = || format!("cannot write {}", paths::shown(&folder));
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(cannot_write)?;
        }
        fs::create_dir_all(&folder).with_context(cannot_write)?;
        Ok(Self {
            folder: Some(folder),
            ..Self::default()
        })
    }

    /// Runs a check.
    pub fn check(&mut self, title: &str, action: impl FnOnce() -> Result<Outcome>) -> Result<()> {
        println!("\n=== {title}");
        let start = Instant::now();
        let result = action();
        let seconds = start.elapsed().as_secs_f64();
        self.times.push((title.to_owned(), seconds));
        self.collect_skipped_tests(title);
        match result {
            Ok(Outcome::Passed) => {
                println!("=== ok: {title} ({seconds:.0} s)");
                self.passed += 1;
                Ok(())
            }
            Ok(Outcome::Skipped(reason)) => {
                println!("=== skipped: {title}: {reason}");
                self.left_out.push(format!("{title}: {reason}"));
                Ok(())
            }
            Err(error) => {
                println!("\n{}", self.summary(1));
                Err(error.context(format!("the check \"{title}\" failed")))
            }
        }
    }

    /// Runs cargo in the workspace as a check.
    pub fn cargo(&mut self, title: &str, arguments: &str) -> Result<()> {
        let mut command = process::cargo();
        command.args(arguments.split_whitespace());
        self.run(title, &mut command)
    }

    /// Runs a command as a check.
    pub fn run(&mut self, title: &str, command: &mut Command) -> Result<()> {
        if let Some(folder) = &self.folder {
            command.env(SKIPPED, folder);
        }
        self.check(title, || passes(command))
    }

    /// Takes over what tests have written into the folder.
    fn collect_skipped_tests(&mut self, title: &str) {
        let Some(folder) = &self.folder else { return };
        let mut files: Vec<_> = fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        files.sort();
        for file in files {
            let text = fs::read_to_string(&file).unwrap_or_else(|error| format!("{}: {error}", paths::shown(&file)));
            for line in text.lines() {
                self.left_out.push(format!("{title}: {line}"));
            }
            // A file that stays would be counted again.
            let _ = fs::remove_file(&file);
        }
    }

    /// Returns the seconds of every check, what was left out, and the counts in the last line.
    pub fn summary(&self, failed: usize) -> String {
        let mut text = String::new();
        if !self.times.is_empty() {
            text.push_str("seconds  check\n");
        }
        for (title, seconds) in &self.times {
            text.push_str(&format!("{seconds:7.1}  {title}\n"));
        }
        let total: f64 = self.times.iter().map(|(_, seconds)| seconds).sum();
        text.push_str(&format!("{total:7.1}  in all\n"));
        for line in &self.left_out {
            text.push_str(&format!("left out: {line}\n"));
        }
        text + &self.counts(failed)
    }

    fn counts(&self, failed: usize) -> String {
        let skipped = match self.left_out.len() {
            0 => String::new(),
            some => format!(", {some} skipped"),
        };
        format!("{} passed, {failed} failed{skipped}", self.passed)
    }
}

/// Runs a command; an error where it fails.
pub fn passes(command: &mut Command) -> Result<Outcome> {
    process::run(command)?;
    Ok(Outcome::Passed)
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn checks_are_counted() {
        let mut checks = Checks::default();
        checks.check("one", || Ok(Outcome::Passed)).unwrap();
        checks.check("two", || Ok(Outcome::Passed)).unwrap();
        assert_eq!(checks.summary(0).lines().last(), Some("2 passed, 0 failed"));
        checks
            .check("three", || Ok(Outcome::Skipped("not here".to_owned())))
            .unwrap();
        let error = checks.check("four", || bail!("it broke")).unwrap_err();
        assert_eq!(format!("{error:#}"), "the check \"four\" failed: it broke");
        let summary = checks.summary(1);
        let mut lines = summary.lines().rev();
        assert_eq!(lines.next(), Some("2 passed, 1 failed, 1 skipped"));
        assert_eq!(lines.next(), Some("left out: three: not here"));
        assert!(lines.next().is_some_and(|line| line.ends_with("  in all")), "{summary}");
        assert_eq!(lines.count(), 5, "a heading and four checks: {summary}");
    }

    #[test]
    fn a_test_that_was_left_out_is_named() {
        let folder = std::env::temp_dir().join(format!("xtask-skipped-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let mut checks = Checks {
            folder: Some(folder.clone()),
            ..Checks::default()
        };
        let file = folder.join("a_full_disk");
        checks
            .check("tests", || {
                fs::write(&file, "a_full_disk: no right to mount\n")?;
                Ok(Outcome::Passed)
            })
            .unwrap();
        checks.check("later", || Ok(Outcome::Passed)).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        let summary = checks.summary(0);
        assert!(
            summary.ends_with("left out: tests: a_full_disk: no right to mount\n2 passed, 0 failed, 1 skipped"),
            "{summary}"
        );
    }
}
