//! A view of this process's waiting for other ranks, for another thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Time that the other ranks have to answer after all were asked to stop. `mpirun` kills them after one second.
const PATIENCE: Duration = Duration::from_millis(400);

/// Counter of the beginnings and ends of waits: it is odd during a wait.
#[derive(Clone, Default)]
pub struct Watch(Arc<AtomicU64>);

impl Watch {
    /// Runs `wait`, in which this rank waits for others.
    pub fn during<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.0.fetch_add(1, Ordering::SeqCst);
        let result = wait();
        self.0.fetch_add(1, Ordering::SeqCst);
        result
    }

    /// Returns once a single wait has lasted so long that the other ranks are probably dead.
    pub fn wait_until_stalled(&self) {
        let (mut seen, mut since) = (self.count(), Instant::now());
        loop {
            std::thread::sleep(PATIENCE / 10);
            let now = self.count();
            if now != seen {
                (seen, since) = (now, Instant::now());
            } else if !now.is_multiple_of(2) && since.elapsed() >= PATIENCE {
                return;
            }
        }
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_wait_without_end_is_stalled() {
        let watch = Watch::default();
        let other = watch.clone();
        let seen = std::thread::spawn(move || other.wait_until_stalled());
        // Many short waits, together longer than a single one may last.
        let begin = Instant::now();
        while begin.elapsed() < 2 * PATIENCE {
            watch.during(|| std::thread::sleep(PATIENCE / 20));
        }
        assert!(!seen.is_finished());
        watch.during(|| seen.join().unwrap());
    }
}
