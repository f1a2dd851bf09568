//! A whole multi-layer perceptron forward and backward on slices, in reused memory.
//!
//! Forward, 128 rows of the batch at a time go through all layers. A layer is one product and one pass: the pass adds
//! the biases, applies the activation, the mask of dropout and the residual. In place of the sums it leaves the slopes
//! that a gradient is multiplied by, so nothing is computed twice. Backward, the same rows go down all layers; then the
//! gradients of the weights are products over the whole batch, up to 256 rows of a matrix at a time.

mod backward;
mod forward;
mod layers;
mod operands;

pub use layers::{LayerPlace, LayerShape, Stack};
pub use operands::{Batch, Gradients, Workspace};
