//! Lines that say where a long command is.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Seconds between two lines.
const INTERVAL: Duration = Duration::from_secs(5);

/// Does `work`; while it takes long, a line on standard error says every few seconds what is being done.
pub fn during<T>(title: &str, work: impl FnOnce() -> T) -> T {
    during_with(title, INTERVAL, |line| eprintln!("{line}"), work)
}

fn during_with<T>(title: &str, interval: Duration, say: impl Fn(String) + Send, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let (done, wait) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            // The sender is dropped when the work is done, or has panicked.
            while let Err(mpsc::RecvTimeoutError::Timeout) = wait.recv_timeout(interval) {
                say(format!("  … {title} ({} s)", start.elapsed().as_secs()));
            }
        });
        let result = work();
        drop(done);
        result
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn lines(work: Duration) -> Vec<String> {
        let lines = Mutex::new(Vec::new());
        let say = |line| lines.lock().unwrap().push(line);
        during_with("counting", Duration::from_millis(50), say, || thread::sleep(work));
        lines.into_inner().unwrap()
    }

    #[test]
    fn long_work_is_heard_of_and_short_work_is_not() {
        assert!(lines(Duration::ZERO).is_empty());
        let heard = lines(Duration::from_millis(500));
        assert!(!heard.is_empty() && heard[0] == "  … counting (0 s)", "{heard:?}");
    }
}
