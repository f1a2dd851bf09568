//! The result of one step before the parameters are updated.

use candle_core::Var;
use candle_core::backprop::GradStore;

/// Loss and gradients of a share of a batch, as means over its rows.
pub struct StepResult {
    /// Reconstruction, prior and diffusion in nats per row.
    pub terms: [f32; 3],
    /// Gradients of all parameters.
    pub gradients: GradStore,
    /// Parameters whose gradient is divided by the square of the diffusion term (see
    /// [`LimitElbo`](crate::train::loss::LimitElbo)).
    pub relative: Vec<Var>,
}
