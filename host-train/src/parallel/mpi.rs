//! The ranks that `mpirun` or `srun` started.

use super::group::Group;
use super::watch::Watch;
use ::mpi::Threading;
use ::mpi::collective::SystemOperation;
use ::mpi::environment::Universe;
use ::mpi::topology::SimpleCommunicator;
use ::mpi::traits::{Communicator as _, CommunicatorCollectives as _};
use anyhow::{Context as _, Result};
use std::time::Duration;

/// Between two looks at whether all have come.
const PAUSE: Duration = Duration::from_millis(20);
/// Of a process that broke off, by Rust's custom.
const PANIC: i32 = 101;

/// All ranks of this program.
pub struct World {
    world: SimpleCommunicator,
    watch: Watch,
    // MPI ends when this is dropped, which is after the communicator.
    _universe: Universe,
}

impl World {
    /// Begins MPI; once in a process.
    pub fn start() -> Result<Self> {
        let (universe, _) = ::mpi::initialize_with_threading(Threading::Funneled).context("MPI was begun twice")?;
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
        // Not the watch's business: how long others take here says nothing.
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
        // To end MPI in good order takes all ranks, and the others may wait for this one elsewhere.
        if std::thread::panicking() {
            self.world.abort(PANIC);
        }
    }
}
