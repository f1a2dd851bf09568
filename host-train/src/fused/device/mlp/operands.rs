//! Operands of a pass, and the memory between passes.

use super::super::memory::GrowingMemory;
use super::super::span::Span;

/// Operands of a batch.
pub struct BatchSpans<'a> {
    /// Inputs, `(n, columns of the first layer)`.
    pub inputs: Span<'a, f32>,
    /// Weights of all layers.
    pub weights: Span<'a, f32>,
    /// Table of biases, each row as wide as all layers together.
    pub biases: Span<'a, f32>,
    /// Row of the table for each of the n rows of the batch, in ascending order.
    pub index: Span<'a, u32>,
    /// Dropout mask of each hidden layer, `(n, rows)`; empty for no dropout.
    pub masks: Vec<Span<'a, f32>>,
}

/// Places for the gradients.
pub struct GradientSpans<'a> {
    /// Gradient of the inputs, if wanted.
    pub inputs: Option<Span<'a, f32>>,
    /// Gradient of all weights.
    pub weights: Span<'a, f32>,
    /// Gradient of the table of biases.
    pub biases: Span<'a, f32>,
}

/// Memory of one forward pass, kept for its backward pass and then for the next.
#[derive(Debug)]
pub struct Space<M> {
    /// Weights rounded to bf16, if products are.
    pub(super) weights: GrowingMemory<M>,
    /// Inputs rounded to bf16, if products are.
    pub(super) inputs: GrowingMemory<M>,
    /// Gradient of the outputs rounded to bf16, if products are.
    pub(super) gradient: GrowingMemory<M>,
    /// Memory of each hidden layer.
    pub(super) layers: Vec<LayerSpace<M>>,
    /// Gradient on its way down.
    pub(super) descent: GrowingMemory<M>,
    /// Partial sums of biases.
    pub(super) parts: GrowingMemory<M>,
}

/// Memory of a hidden layer.
#[derive(Debug)]
pub(super) struct LayerSpace<M> {
    /// Its outputs.
    pub outputs: GrowingMemory<M>,
    /// Its sums, then its slopes, then the gradients of its sums.
    pub sums: GrowingMemory<M>,
}

impl<M> Default for LayerSpace<M> {
    fn default() -> Self {
        Self {
            outputs: GrowingMemory::default(),
            sums: GrowingMemory::default(),
        }
    }
}

impl<M> Default for Space<M> {
    fn default() -> Self {
        Self {
            weights: GrowingMemory::default(),
            inputs: GrowingMemory::default(),
            gradient: GrowingMemory::default(),
            layers: Vec::new(),
            descent: GrowingMemory::default(),
            parts: GrowingMemory::default(),
        }
    }
}
