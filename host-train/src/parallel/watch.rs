//! Whether this process waits for others, seen from another thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a rank may take to answer once all have been told to stop. `mpirun` kills them a second after it has told them.
const PATIENCE: Duration = Duration::from_millis(400);

/// Counts the beginnings and the ends of waits, so it is odd during one.
#[derive(Clone, Default)]
pub struct Watch(Arc<AtomicU64>);

impl Watch {
    /// Runs `wait`, in which others are waited for.
    pub fn during<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.0.fetch_add(1, Ordering::SeqCst);
        let result = wait();
        self.0.fetch_add(1, Ordering::SeqCst);
        result
    }

    /// Returns when others have not answered for some time, so perhaps never.
    pub fn until_in_vain(&self) {
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
    fn only_a_wait_without_end_is_in_vain() {
        let watch = Watch::default();
        let other = watch.clone();
        let seen = std::thread::spawn(move || other.until_in_vain());
        // Many short waits, longer than one may take in all.
        let begin = Instant::now();
        while begin.elapsed() < 2 * PATIENCE {
            watch.during(|| std::thread::sleep(PATIENCE / 20));
        }
        assert!(!seen.is_finished());
        watch.during(|| seen.join().unwrap());
    }
}
