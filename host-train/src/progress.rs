//! The progress of a long command: a bar in a terminal, elsewhere a line every few seconds.

use indicatif::{FormattedDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal as _, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time between two lines where there is no terminal.
const INTERVAL: Duration = Duration::from_secs(5);

/// Reports on standard error how far a long command has come.
///
/// ```
/// use host_train::progress::Progress;
///
/// let progress = Progress::new(200, "fine-tuning");
/// for step in 1..=200 {
///     progress.set(step, "12.3 nats per row");
/// }
/// progress.finish();
/// ```
pub struct Progress {
    display: Display,
}

enum Display {
    Hidden,
    Bar(ProgressBar),
    Lines(Mutex<Lines>),
}

impl Progress {
    /// Progress towards `total`, from 0. A total of 0 is one that nobody knows.
    pub fn new(total: u64, title: &str) -> Self {
        Self::resumed(0, total, title)
    }

    /// Progress towards `total` of work that continues from `position`.
    pub fn resumed(position: u64, total: u64, title: &str) -> Self {
        let display = if std::io::stderr().is_terminal() {
            Display::Bar(bar(position, total, title))
        } else {
            Display::Lines(Mutex::new(Lines::new(position, total, title)))
        };
        Self { display }
    }

    /// Progress that is not shown.
    pub fn hidden() -> Self {
        Self {
            display: Display::Hidden,
        }
    }

    /// Leaves the display as it is, or hides it if `quiet`.
    pub fn quiet_if(self, quiet: bool) -> Self {
        match self.display {
            Display::Bar(bar) if quiet => {
                bar.finish_and_clear();
                Self::hidden()
            }
            _ if quiet => Self::hidden(),
            display => Self { display },
        }
    }

    /// Reports that `position` is reached.
    pub fn set(&self, position: u64, message: impl AsRef<str>) {
        match &self.display {
            Display::Hidden => {}
            Display::Bar(bar) => {
                bar.set_position(position);
                if bar.message() != message.as_ref() {
                    bar.set_message(message.as_ref().to_owned());
                }
            }
            Display::Lines(lines) => {
                let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(line) = lines.line_if_due(position, message.as_ref(), Instant::now()) {
                    say(&line);
                }
            }
        }
    }

    /// Ends the report: the bar goes, and what was shown as lines ends with one for the last position.
    pub fn finish(self) {
        match self.display {
            Display::Hidden => {}
            Display::Bar(bar) => bar.finish_and_clear(),
            Display::Lines(lines) => {
                let lines = lines.into_inner().unwrap_or_else(PoisonError::into_inner);
                if let Some(line) = lines.last_line(Instant::now()) {
                    say(&line);
                }
            }
        }
    }
}

/// Prints a line. A reader who has gone does not end the work.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

fn bar(position: u64, total: u64, title: &str) -> ProgressBar {
    let (length, template) = match total {
        0 => (None, "{spinner} {prefix}  {msg}  {elapsed}"),
        _ => (
            Some(total),
            "{prefix} {bar:24} {pos}/{len}  {msg}  {per_sec}  ETA {eta}",
        ),
    };
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr_with_hz(4))
        .with_position(position)
        .with_prefix(title.to_owned());
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    if total == 0 {
        bar.enable_steady_tick(Duration::from_millis(200));
    }
    bar.reset_eta();
    bar
}

/// The lines of a command that has no terminal.
struct Lines {
    title: String,
    total: u64,
    first: u64,
    begin: Instant,
    /// Time of the last line, or of the beginning.
    last: Instant,
    shown: bool,
    position: u64,
    message: String,
}

impl Lines {
    fn new(position: u64, total: u64, title: &str) -> Self {
        let begin = Instant::now();
        Self {
            title: title.to_owned(),
            total,
            first: position,
            begin,
            last: begin,
            shown: false,
            position,
            message: String::new(),
        }
    }

    /// Takes up a position; returns its line once enough time has gone since the last one.
    fn line_if_due(&mut self, position: u64, message: &str, now: Instant) -> Option<String> {
        self.position = position;
        message.clone_into(&mut self.message);
        if now.saturating_duration_since(self.last) < INTERVAL {
            return None;
        }
        self.last = now;
        self.shown = true;
        Some(self.line(now))
    }

    /// Returns the line of the last position if any line was shown: short work stays silent.
    fn last_line(&self, now: Instant) -> Option<String> {
        self.shown.then(|| self.line(now))
    }

    fn line(&self, now: Instant) -> String {
        let elapsed = now.saturating_duration_since(self.begin);
        let message = match self.message.as_str() {
            "" => String::new(),
            message => format!("  {message}"),
        };
        if self.total == 0 {
            return format!("{}:{message}  {}", self.title, FormattedDuration(elapsed));
        }
        let done = self.position.saturating_sub(self.first);
        let left = self.total.saturating_sub(self.position);
        let eta = match done {
            0 => "?".to_owned(),
            _ => FormattedDuration(elapsed.mul_f64(left as f64 / done as f64)).to_string(),
        };
        format!(
            "{}: {}/{}{message}  {}/{eta}",
            self.title,
            self.position,
            self.total,
            FormattedDuration(elapsed)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_appears_once_its_time_has_come() {
        let mut lines = Lines::new(100, 500, "training");
        let begin = lines.begin;
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        assert_eq!(lines.line_if_due(150, "a", at(4)), None);
        assert_eq!(lines.last_line(at(4)), None);
        let line = "training: 200/500  1.5 bits/dim  00:00:10/00:00:30";
        assert_eq!(lines.line_if_due(200, "1.5 bits/dim", at(10)).as_deref(), Some(line));
        assert_eq!(lines.line_if_due(210, "b", at(14)), None);
        let line = "training: 210/500  b  00:00:22/00:00:58";
        assert_eq!(lines.last_line(at(22)).as_deref(), Some(line));
    }

    #[test]
    fn work_without_a_known_end_has_no_estimate() {
        let mut lines = Lines::new(0, 0, "comparing");
        let later = lines.begin + INTERVAL;
        let line = lines.line_if_due(0, "scoring a.vdm", later);
        assert_eq!(line.as_deref(), Some("comparing:  scoring a.vdm  00:00:05"));
    }

    #[test]
    fn nothing_done_has_no_estimate() {
        let mut lines = Lines::new(7, 10, "sampling");
        let later = lines.begin + INTERVAL;
        assert_eq!(
            lines.line_if_due(7, "", later).as_deref(),
            Some("sampling: 7/10  00:00:05/?")
        );
    }
}
