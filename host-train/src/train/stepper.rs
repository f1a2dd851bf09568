//! The interface of everything that makes training steps.

use super::run::Run;
use crate::data::Dataset;
use anyhow::Result;

/// Makes training steps, or has a GPU make them.
pub(super) trait Stepper {
    /// Makes or launches one step. Returns true if any rank was asked to stop.
    ///
    /// * `local`: an error of this rank since the last step; it is reported to the other ranks, so that all stop
    ///   together;
    /// * `stop`: this rank was asked to stop.
    fn advance(&mut self, run: &mut Run, data: &Dataset, local: Result<()>, stop: bool) -> Result<bool>;

    /// Waits until all launched steps are done and brings their results into `run`.
    ///
    /// # Errors
    /// Fails if the loss or a gradient of one of them was not finite.
    fn synchronize(&mut self, run: &mut Run) -> Result<()>;

    /// Starts the sums of the next row of the log.
    fn start_row(&mut self) -> Result<()>;
}
