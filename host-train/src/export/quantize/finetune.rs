//! Fine-tuning: the integer network learns to give the outputs of the frozen float network.
//!
//! The forward pass *is* the integer network: weights are rounded to integers, sums are exact in `f64`, and a sum
//! becomes an activation by the core's own code ([`ancestral::Format::activate`]). Gradients pass the roundings
//! unchanged and stop where something is clipped (Bengio et al. 2013); the units of weights and activations are learned
//! as in Esser et al. (2020). The loss is the ELBO's cost of the error of x̂ and of the decoder's. Training against
//! the data again would make the samples worse, so the teacher is the float network.

mod batch;
mod float_network;
mod operations;
mod run;
mod settings;
mod step_tensors;
mod student;

pub use batch::StateBatch;
pub use run::finetune;
pub use settings::FineTune;
pub use student::Student;
