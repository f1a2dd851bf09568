//! Operands of a pass, and the memory between passes.

/// Memory of one forward pass, kept for its backward pass and then for the next.
#[derive(Debug, Default)]
pub struct Workspace {
    /// All matrices transposed, as the forward product takes them without packing.
    pub(super) transposed: Vec<f32>,
    /// Outputs of each hidden layer, `(n, rows)`.
    pub(super) outputs: Vec<Vec<f32>>,
    /// Sums of each hidden layer, then their slopes, then the gradients of the sums; `(n, rows)`.
    pub(super) slopes: Vec<Vec<f32>>,
    /// Gradient on its way down, for each piece of the batch.
    pub(super) descent: Vec<f32>,
}

/// Operands of a batch.
#[derive(Clone, Copy)]
pub struct Batch<'a> {
    /// Inputs, `(n, columns of the first layer)`.
    pub inputs: &'a [f32],
    /// Weights of all layers.
    pub weights: &'a [f32],
    /// Table of biases, each row as wide as all layers together.
    pub biases: &'a [f32],
    /// Row of the table for each of the n rows of the batch.
    pub index: &'a [u32],
    /// Dropout mask of each hidden layer, `(n, rows)`; empty for no dropout.
    pub masks: &'a [&'a [f32]],
}

/// Result of a backward pass.
pub struct Gradients {
    /// Gradient of the inputs, if wanted.
    pub inputs: Option<Vec<f32>>,
    /// Gradient of all weights.
    pub weights: Vec<f32>,
    /// Gradient of the table of biases.
    pub biases: Vec<f32>,
}

impl Workspace {
    /// Resizes the buffers for a forward pass, which overwrites them before it reads them.
    pub(super) fn prepare(&mut self, widths: &[usize], n: usize, weights: usize) {
        self.transposed.resize(weights, 0.0);
        for buffers in [&mut self.outputs, &mut self.slopes] {
            buffers.resize_with(widths.len(), Vec::new);
            for (buffer, width) in buffers.iter_mut().zip(widths) {
                buffer.resize(n * width, 0.0);
            }
        }
    }
}

/// Cuts mutable buffers of different widths into pieces of the same rows.
pub(super) fn cut<'a>(
    buffers: &'a mut [Vec<f32>],
    widths: &[usize],
    rows: usize,
    pieces: usize,
) -> Vec<Vec<&'a mut [f32]>> {
    let mut cut: Vec<Vec<&mut [f32]>> = (0..pieces).map(|_| Vec::with_capacity(widths.len())).collect();
    for (buffer, width) in buffers.iter_mut().zip(widths) {
        for (piece, part) in cut.iter_mut().zip(buffer.chunks_mut((rows * width).max(1))) {
            piece.push(part);
        }
    }
    cut
}
