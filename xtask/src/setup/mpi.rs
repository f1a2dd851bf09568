//! An MPI library, for the one check that needs it.

use crate::process;

/// Programs that show that it is there: one that starts ranks, one that compiles for them, and the compiler whose
/// library reads C headers.
const PROGRAMS: [&str; 3] = ["mpirun", "mpicc", "clang"];
/// Packages that bring them.
pub const PACKAGES: [&str; 4] = ["openmpi-bin", "libopenmpi-dev", "libclang-dev", "clang"];

/// Returns whether programs with MPI can be built and run here.
pub fn available() -> bool {
    PROGRAMS.iter().all(|name| process::find_program(name).is_some())
}
