//! The ranks that `mpirun` or `srun` has started.

use super::group::Group;
use super::watch::Watch;
use ::mpi::Threading;
use ::mpi::collective::SystemOperation;
use ::mpi::environment::Universe;
use ::mpi::topology::SimpleCommunicator;
use ::mpi::traits::{Communicator as _, CommunicatorCollectives as _};
use anyhow::{Context as _, Result};
use std::time::Duration;

/// Time between two checks for the arrival of all ranks.
const PAUSE: Duration = Duration::from_millis(20);
/// Exit status of a Rust process that has panicked.
const PANIC: i32 = 101;

/// All ranks of this program.
pub struct World {
    world: SimpleCommunicator,
    watch: Watch,
    // Dropping this finalizes MPI, so it must come after the communicator.
    _universe: Universe,
}

impl World {
    /// Initializes MPI. A process can do this once.
    pub fn start() -> Result<Self> {
        let (universe, _) = ::mpi::initialize_with_threading(Threading::Funneled)
            .context("MPI was initialized twice: start it once per process")?;
        Ok(Self {
            world: universe.world(),
            watch: Watch::default(),
            _universe: universe,
        })
    }
}

impl Group for World {
    fn rank(&self) -> usize {
        usize::try_from(self.world.rank()).unwrap_or_default()
    }

    fn size(&self) -> usize {
        usize::try_from(self.world.size()).unwrap_or(1)
    }

    fn sum(&self, values: &mut [f32]) {
        let own = values.to_vec();
        self.watch
            .during(|| self.world.all_reduce_into(&own[..], values, SystemOperation::sum()));
    }

    fn gather(&self, word: u64) -> Vec<u64> {
        let mut all = vec![0; self.size()];
        self.watch.during(|| self.world.all_gather_into(&word, &mut all[..]));
        all
    }

    fn wait(&self) {
        // Hidden from the watch, because a long wait here is normal.
        let mut request = self.world.immediate_barrier();
        while let Err(unfinished) = request.test() {
            request = unfinished;
            std::thread::sleep(PAUSE);
        }
    }

    fn watch(&self) -> Watch {
        self.watch.clone()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Finalizing MPI takes all ranks, and the others may be waiting for this one in another call.
        // The panic hook has already printed the message.
        if std::thread::panicking() {
            self.world.abort(PANIC);
        }
    }
}
