//! A named parameter of a model.

use candle_core::Var;

/// A named parameter.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name in a checkpoint.
    pub name: String,
    /// Its value.
    pub var: Var,
    /// Whether AdamW's decay applies (weight matrices, not biases or embeddings).
    pub decays: bool,
}
