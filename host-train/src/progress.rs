//! The progress of a long command: a bar in a terminal, elsewhere a line every few seconds.

use indicatif::{FormattedDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal as _, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Time between two lines where there is no terminal.
const INTERVAL: Duration = Duration::from_secs(5);
/// Environment variable with another number of seconds for that.
const INTERVAL_VARIABLE: &str = "HOST_TRAIN_PROGRESS_SECONDS";

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
    Lines(Ticker),
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
            Display::Lines(Ticker::start(Lines::new(position, total, title, interval())))
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

    /// Begins another part of the same work, towards a total of its own.
    pub fn begin(&self, title: &str, total: u64) {
        match &self.display {
            Display::Hidden => {}
            Display::Bar(bar) => {
                bar.set_prefix(title.to_owned());
                bar.set_message("");
                restart(bar, 0, total);
            }
            Display::Lines(ticker) => {
                let mut lines = ticker.lines();
                if let Some(line) = lines.last_line(Instant::now()) {
                    say(&line);
                }
                lines.restart(title, total);
            }
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
            Display::Lines(ticker) => {
                let mut lines = ticker.lines();
                message.as_ref().clone_into(&mut lines.message);
                lines.position = position;
                lines.say_if_due();
            }
        }
    }

    /// Reports that `count` more are done. Several threads may report.
    pub fn advance(&self, count: u64) {
        match &self.display {
            Display::Hidden => {}
            Display::Bar(bar) => bar.inc(count),
            Display::Lines(ticker) => {
                let mut lines = ticker.lines();
                lines.position += count;
                lines.say_if_due();
            }
        }
    }

    /// Runs `print`, which writes to the terminal, without the bar in its way.
    pub fn suspend<R>(&self, print: impl FnOnce() -> R) -> R {
        match &self.display {
            Display::Bar(bar) => bar.suspend(print),
            Display::Hidden | Display::Lines(_) => print(),
        }
    }

    /// Ends the report: the bar goes, and what was shown as lines ends with one for the last position.
    pub fn finish(&self) {
        match &self.display {
            Display::Hidden => {}
            Display::Bar(bar) => bar.finish_and_clear(),
            Display::Lines(ticker) => {
                let mut lines = ticker.lines();
                if let Some(line) = lines.last_line(Instant::now()) {
                    say(&line);
                }
                lines.finished = true;
            }
        }
    }
}

/// Seconds between two lines: the user's choice if there is a usable one.
fn interval() -> Duration {
    let chosen = std::env::var(INTERVAL_VARIABLE).ok().and_then(|text| text.parse().ok());
    chosen
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .unwrap_or(INTERVAL)
}

/// Prints a line. A reader who has gone does not end the work.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

fn bar(position: u64, total: u64, title: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(4)).with_prefix(title.to_owned());
    bar.enable_steady_tick(Duration::from_millis(200));
    restart(&bar, position, total);
    bar
}

/// Gives a bar another total. Without one it shows only that work goes on.
fn restart(bar: &ProgressBar, position: u64, total: u64) {
    let template = match total {
        0 => "{spinner} {prefix}  {msg}  {elapsed}",
        _ => "{prefix} {bar:24} {pos}/{len}  {msg}  {per_sec}  ETA {eta}",
    };
    match total {
        0 => bar.unset_length(),
        _ => bar.set_length(total),
    }
    bar.set_position(position);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.reset_eta();
}

/// Lines that also appear while the work reports nothing.
struct Ticker {
    lines: Arc<Mutex<Lines>>,
    /// Dropped with the ticker, which ends its thread.
    _stop: Sender<()>,
}

impl Ticker {
    fn start(lines: Lines) -> Self {
        // A thread that wakes up more often than that would only cost time.
        let pause = lines.interval.max(Duration::from_millis(200));
        let lines = Arc::new(Mutex::new(lines));
        let shared = Arc::clone(&lines);
        let (stop, stopped) = channel::<()>();
        thread::spawn(move || {
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                shared.lock().unwrap_or_else(PoisonError::into_inner).say_if_due();
            }
        });
        Self { lines, _stop: stop }
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lines of a command that has no terminal.
struct Lines {
    title: String,
    total: u64,
    first: u64,
    begin: Instant,
    interval: Duration,
    /// Time of the last line, or of the beginning.
    last: Instant,
    shown: bool,
    finished: bool,
    position: u64,
    message: String,
}

impl Lines {
    fn new(position: u64, total: u64, title: &str, interval: Duration) -> Self {
        let begin = Instant::now();
        Self {
            title: title.to_owned(),
            total,
            first: position,
            begin,
            interval,
            last: begin,
            shown: false,
            finished: false,
            position,
            message: String::new(),
        }
    }

    /// Begins another part. The time of the last line stays: many short parts are not silent either.
    fn restart(&mut self, title: &str, total: u64) {
        let last = self.last;
        *self = Self::new(0, total, title, self.interval);
        self.last = last;
    }

    fn say_if_due(&mut self) {
        if let Some(line) = self.line_if_due(Instant::now()) {
            say(&line);
        }
    }

    /// Returns the line of the position once enough time has gone since the last one.
    fn line_if_due(&mut self, now: Instant) -> Option<String> {
        if self.finished || now.saturating_duration_since(self.last) < self.interval {
            return None;
        }
        self.last = now;
        self.shown = true;
        Some(self.line(now))
    }

    /// Returns the line of the last position if any line was shown: short work stays silent.
    fn last_line(&self, now: Instant) -> Option<String> {
        (self.shown && !self.finished).then(|| match self.position {
            position if position >= self.total => format!("{} (done)", self.line(now)),
            _ => self.line(now),
        })
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

    /// Reports a position and a message; returns the line that appears.
    fn report(lines: &mut Lines, position: u64, message: &str, now: Instant) -> Option<String> {
        lines.position = position;
        message.clone_into(&mut lines.message);
        lines.line_if_due(now)
    }

    #[test]
    fn a_line_appears_once_its_time_has_come() {
        let mut lines = Lines::new(100, 500, "training", INTERVAL);
        let begin = lines.begin;
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        assert_eq!(report(&mut lines, 150, "a", at(4)), None);
        assert_eq!(lines.last_line(at(4)), None);
        let line = "training: 200/500  1.5 bits/dim  00:00:10/00:00:30";
        assert_eq!(report(&mut lines, 200, "1.5 bits/dim", at(10)).as_deref(), Some(line));
        assert_eq!(report(&mut lines, 210, "b", at(14)), None);
        let line = "training: 210/500  b  00:00:22/00:00:58";
        assert_eq!(lines.last_line(at(22)).as_deref(), Some(line));
    }

    #[test]
    fn work_without_a_known_end_has_no_estimate() {
        let mut lines = Lines::new(0, 0, "comparing", INTERVAL);
        let later = lines.begin + INTERVAL;
        let line = report(&mut lines, 0, "scoring a.vdm", later);
        assert_eq!(line.as_deref(), Some("comparing:  scoring a.vdm  00:00:05"));
    }

    #[test]
    fn nothing_done_has_no_estimate() {
        let mut lines = Lines::new(7, 10, "sampling", INTERVAL);
        let later = lines.begin + INTERVAL;
        assert_eq!(
            report(&mut lines, 7, "", later).as_deref(),
            Some("sampling: 7/10  00:00:05/?")
        );
    }

    #[test]
    fn the_last_line_says_that_all_is_done() {
        let mut lines = Lines::new(0, 10, "sampling", INTERVAL);
        let later = lines.begin + INTERVAL;
        assert!(report(&mut lines, 9, "", later).is_some());
        lines.position = 10;
        let line = lines.last_line(later).unwrap();
        assert_eq!(line, "sampling: 10/10  00:00:05/00:00:00 (done)");
    }

    #[test]
    fn many_short_parts_are_not_silent() {
        let mut lines = Lines::new(0, 1, "first", INTERVAL);
        let begin = lines.begin;
        lines.restart("second", 2);
        assert_eq!(lines.last_line(begin + INTERVAL), None);
        assert!(
            report(&mut lines, 1, "", begin + INTERVAL)
                .unwrap()
                .starts_with("second: 1/2")
        );
    }
}
