//! Training of a model.

pub mod advice;
pub mod checkpoint;
pub mod config;
pub mod device;
pub mod distill;
pub mod exchange;
#[cfg(feature = "cuda")]
mod gpu_stepper;
mod host_stepper;
pub mod log;
pub mod loss;
pub mod pending;
mod remarks;
pub mod run;
mod run_folder;
pub mod same;
pub mod session;
mod share_loss;
pub mod step_result;
mod stepper;
mod training_loop;
pub mod update;
mod validate;
pub mod validations;

pub use log::LOSSES;
pub use run::Run;
pub use session::{Outcome, Session};
pub use training_loop::train;
