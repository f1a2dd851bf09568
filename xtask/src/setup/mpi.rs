//! An MPI library, for the one check that needs it.

use crate::process;
use crate::setup::apt;

/// What shows that it is there: a program that starts ranks, one that compiles for them, and the compiler whose library reads C headers.
const PROGRAMS: [&str; 3] = ["mpirun", "mpicc", "clang"];
const PACKAGES: [&str; 4] = ["openmpi-bin", "libopenmpi-dev", "libclang-dev", "clang"];

/// Whether programs with MPI can be built and run here, after installing what is missing where apt can.
pub fn ensure() -> bool {
    let there = || PROGRAMS.iter().all(|name| process::find_program(name).is_some());
    if there() {
        return true;
    }
    if !apt::usable() {
        return false;
    }
    let _ = apt::update().map_err(|error| eprintln!("{error:#}; going on with the old list"));
    if let Err(error) = apt::install(&PACKAGES.map(str::to_owned)) {
        eprintln!("{error:#}");
    }
    there()
}
