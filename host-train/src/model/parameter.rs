//! A named parameter of a model.

use candle_core::Var;

/// A parameter with its name.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Name in a checkpoint.
    pub name: String,
    /// Value.
    pub var: Var,
    /// True if AdamW's weight decay applies: to weight matrices, not to biases or embeddings.
    pub decays: bool,
}
