//! Whether this process waits for others, seen from another thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long a rank may take to answer once all have been told to stop. `mpirun` kills them a second after it has told them.
const PATIENCE: Duration = Duration::from_millis(500);

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

    /// Whether others are waited for and do not answer for as long as [`PATIENCE`]; takes that long where they are waited for.
    pub fn in_vain(&self) -> bool {
        let now = self.0.load(Ordering::SeqCst);
        if now.is_multiple_of(2) {
            return false;
        }
        std::thread::sleep(PATIENCE);
        self.0.load(Ordering::SeqCst) == now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_without_end_is_seen() {
        let watch = Watch::default();
        assert!(!watch.in_vain());
        let other = watch.clone();
        assert!(watch.during(move || other.in_vain()));
        assert!(!watch.in_vain());
    }
}
