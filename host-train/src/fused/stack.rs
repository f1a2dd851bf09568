//! A whole multi-layer perceptron forward and backward on slices, in memory that is used again.
//!
//! Forward, 128 rows of the batch at a time go through all layers. A layer is one product and one pass: the pass adds the biases, applies
//! the activation, the mask of dropout and the residual, and leaves in the sums' place what a gradient will be multiplied with, so nothing
//! is computed again on the way back. Backward, the same rows go down all layers; then the gradients of the weights are products over the
//! whole batch, up to 256 rows of a matrix at a time.

use super::lanes::{self, Activation, Biases, Hidden};
use super::pieces;
use super::product::{Matrix, multiply, transpose};

/// One layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub columns: usize,
    /// Whether its input is added to its output.
    pub residual: bool,
}

/// The layers, the last of them linear. Their weights lie in one slice, `rows × columns` each, one after another; their biases side by side
/// in the rows of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    layers: Vec<Layer>,
    activation: Activation,
}

/// Memory of one forward pass, kept for its backward pass and then for the next.
#[derive(Debug, Default)]
pub struct Workspace {
    /// All matrices turned, as the forward product takes them without packing.
    turned: Vec<f32>,
    /// Of each hidden layer, `(n, rows)`: what it gives on.
    outputs: Vec<Vec<f32>>,
    /// Of each hidden layer, `(n, rows)`: first its sums, then its slopes, at last the gradients of its sums.
    slopes: Vec<Vec<f32>>,
    /// The gradient on its way down, of each piece of the batch.
    descent: Vec<f32>,
}

/// A batch as it comes in.
#[derive(Clone, Copy)]
pub struct Batch<'a> {
    /// `(n, columns of the first layer)`.
    pub inputs: &'a [f32],
    /// All weights.
    pub weights: &'a [f32],
    /// The table of biases, each row as wide as all layers together.
    pub biases: &'a [f32],
    /// Row of the table for each row of the batch; n of them.
    pub index: &'a [u32],
    /// Of each hidden layer, `(n, rows)`, or none at all.
    pub masks: &'a [&'a [f32]],
}

/// What a backward pass finds.
pub struct Gradients {
    /// Of the inputs, where asked for.
    pub inputs: Option<Vec<f32>>,
    /// Of all weights.
    pub weights: Vec<f32>,
    /// Of the table of biases.
    pub biases: Vec<f32>,
}

/// Cuts mutable buffers of different widths into pieces of the same rows.
fn cut<'a>(buffers: &'a mut [Vec<f32>], widths: &[usize], rows: usize, pieces: usize) -> Vec<Vec<&'a mut [f32]>> {
    let mut cut: Vec<Vec<&mut [f32]>> = (0..pieces).map(|_| Vec::with_capacity(widths.len())).collect();
    for (buffer, width) in buffers.iter_mut().zip(widths) {
        for (piece, part) in cut.iter_mut().zip(buffer.chunks_mut((rows * width).max(1))) {
            piece.push(part);
        }
    }
    cut
}

impl Stack {
    /// Checks that every layer takes what the one before gives, that only hidden layers of equal widths are residual, and that no width is 0.
    pub fn new(layers: Vec<Layer>, activation: Activation) -> Result<Self, String> {
        if layers.is_empty() {
            return Err("a network needs at least one layer".into());
        }
        let last = layers.len() - 1;
        for (i, layer) in layers.iter().enumerate() {
            if layer.rows == 0 || layer.columns == 0 {
                return Err(format!("layer {i} has no rows or no columns"));
            }
            if i > 0 && layers[i - 1].rows != layer.columns {
                return Err(format!("layer {i} does not take what the one before gives"));
            }
            if layer.residual && (i == last || layer.rows != layer.columns) {
                return Err(format!("layer {i} cannot be residual"));
            }
        }
        Ok(Self { layers, activation })
    }

    /// Inputs of the first layer.
    pub fn inputs(&self) -> usize {
        self.layers[0].columns
    }

    /// Outputs of the last layer.
    pub fn outputs(&self) -> usize {
        self.layers[self.layers.len() - 1].rows
    }

    /// Weights of all layers.
    pub fn weights(&self) -> usize {
        self.layers.iter().map(|l| l.rows * l.columns).sum()
    }

    /// Columns of the table of biases.
    pub fn bias_rows(&self) -> usize {
        self.layers.iter().map(|l| l.rows).sum()
    }

    /// Rows of the hidden layers.
    pub fn hidden(&self) -> Vec<usize> {
        let last = self.layers.len() - 1;
        self.layers[..last].iter().map(|l| l.rows).collect()
    }

    /// Of the hidden layers.
    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// Of each layer: where its weights begin, and its first column of biases.
    pub(super) fn places(&self) -> Vec<(Layer, usize, usize)> {
        let (mut weight, mut bias) = (0, 0);
        let place = |layer: &Layer| {
            let place = (*layer, weight, bias);
            weight += layer.rows * layer.columns;
            bias += layer.rows;
            place
        };
        self.layers.iter().map(place).collect()
    }

    /// The outputs, `(n, rows of the last layer)`. `batch` must have this network's sizes.
    pub fn forward(&self, batch: Batch<'_>, space: &mut Workspace) -> Vec<f32> {
        let n = batch.index.len();
        let (places, widths) = (self.places(), self.hidden());
        let last = places.len() - 1;
        let stride = self.bias_rows();
        space.prepare(&widths, n, self.weights());
        let mut rest = space.turned.as_mut_slice();
        let mut matrices = Vec::with_capacity(places.len());
        for &(layer, at, _) in &places {
            let (own, after) = rest.split_at_mut(layer.rows * layer.columns);
            matrices.push((own, layer, at));
            rest = after;
        }
        pieces::each(matrices, |(out, layer, at)| {
            let weights = &batch.weights[at..at + layer.rows * layer.columns];
            transpose(out, weights, layer.rows, layer.columns);
        });

        let mut out = vec![0.0; n * self.outputs()];
        let count = n.div_ceil(pieces::ROWS);
        let outputs = cut(&mut space.outputs, &widths, pieces::ROWS, count);
        let slopes = cut(&mut space.slopes, &widths, pieces::ROWS, count);
        let ends = out.chunks_mut(pieces::ROWS * self.outputs());
        let work: Vec<_> = outputs.into_iter().zip(slopes).zip(ends).enumerate().collect();
        let turned = &space.turned;
        pieces::each(work, |(piece, ((mut outputs, mut slopes), end))| {
            let from = piece * pieces::ROWS;
            let rows = pieces::ROWS.min(n - from);
            let index = &batch.index[from..from + rows];
            for (i, &(layer, at, first)) in places.iter().enumerate() {
                let (before, own) = outputs.split_at_mut(i);
                let input: &[f32] = match before.last() {
                    Some(before) => before,
                    None => &batch.inputs[from * layer.columns..(from + rows) * layer.columns],
                };
                let a = Matrix::new(input, rows, layer.columns, layer.columns);
                let matrix = &turned[at..at + layer.rows * layer.columns];
                let b = Matrix::new(matrix, layer.columns, layer.rows, layer.rows);
                let biases = Biases {
                    table: batch.biases,
                    stride,
                    first,
                    index,
                };
                if i == last {
                    multiply(end, a, b, false);
                    lanes::add_biases(end, layer.rows, biases);
                    continue;
                }
                multiply(slopes[i], a, b, false);
                let hidden = Hidden {
                    width: layer.rows,
                    biases,
                    mask: batch
                        .masks
                        .get(i)
                        .map(|m| &m[from * layer.rows..(from + rows) * layer.rows]),
                    residual: layer.residual.then_some(input),
                };
                lanes::activate(self.activation, slopes[i], own[0], &hidden);
            }
        });
        out
    }

    /// The gradients of `Σ gradient·outputs`, once after each [`forward`](Self::forward) with the same batch and workspace, whose
    /// slopes it uses up.
    ///
    /// * `gradient`: `(n, rows of the last layer)`;
    /// * `of_inputs`: whether the inputs' is wanted too.
    pub fn backward(&self, batch: Batch<'_>, space: &mut Workspace, gradient: &[f32], of_inputs: bool) -> Gradients {
        let n = batch.index.len();
        let (places, widths) = (self.places(), self.hidden());
        let last = places.len() - 1;
        let mut inputs = of_inputs.then(|| vec![0.0; n * self.inputs()]);

        let count = n.div_ceil(pieces::ROWS);
        let widest = widths.iter().copied().max().unwrap_or(0);
        space.descent.resize(n * widest, 0.0);
        let slopes = cut(&mut space.slopes, &widths, pieces::ROWS, count);
        // Without a hidden layer there is nothing to descend through, but there are still pieces.
        let mut descents: Vec<&mut [f32]> = space.descent.chunks_mut((pieces::ROWS * widest).max(1)).collect();
        descents.resize_with(count, Default::default);
        let mut ends: Vec<Option<&mut [f32]>> = match &mut inputs {
            Some(inputs) => inputs.chunks_mut(pieces::ROWS * self.inputs()).map(Some).collect(),
            None => Vec::new(),
        };
        ends.resize_with(count, || None);
        let work: Vec<_> = slopes.into_iter().zip(descents).zip(ends).enumerate().collect();
        pieces::each(work, |(piece, ((mut slopes, descent), mut end))| {
            let from = piece * pieces::ROWS;
            let rows = pieces::ROWS.min(n - from);
            for (i, &(layer, at, _)) in places.iter().enumerate().rev() {
                let of_sums: &[f32] = match slopes.get_mut(i) {
                    Some(slopes) => {
                        lanes::scale(slopes, &descent[..rows * layer.rows]);
                        slopes
                    }
                    None => &gradient[from * layer.rows..(from + rows) * layer.rows],
                };
                let a = Matrix::new(of_sums, rows, layer.rows, layer.rows);
                let matrix = &batch.weights[at..at + layer.rows * layer.columns];
                let b = Matrix::new(matrix, layer.rows, layer.columns, layer.columns);
                if i > 0 {
                    multiply(&mut descent[..rows * layer.columns], a, b, layer.residual);
                } else if let Some(end) = &mut end {
                    multiply(end, a, b, false);
                    if layer.residual {
                        lanes::add(end, &descent[..rows * layer.columns]);
                    }
                }
            }
        });

        let mut weights = vec![0.0; self.weights()];
        let table = batch.biases.len() / self.bias_rows();
        let mut matrices = Vec::new();
        let mut sums = Vec::new();
        let mut rest = weights.as_mut_slice();
        for (i, &(layer, _, bias)) in places.iter().enumerate() {
            for row in (0..layer.rows).step_by(pieces::OUTPUTS) {
                let rows = pieces::OUTPUTS.min(layer.rows - row);
                let (own, after) = rest.split_at_mut(rows * layer.columns);
                rest = after;
                matrices.push((own, i, row));
                sums.push((vec![0.0f32; table * rows], bias + row));
            }
        }
        let (outputs, slopes) = (&space.outputs, &space.slopes);
        let work: Vec<_> = matrices.into_iter().zip(&mut sums).collect();
        pieces::each(work, |((own, i, row), (sum, _))| {
            let (layer, ..) = places[i];
            let rows = own.len() / layer.columns;
            let of_sums: &[f32] = if i == last { gradient } else { &slopes[i] };
            let input: &[f32] = if i == 0 { batch.inputs } else { &outputs[i - 1] };
            let a = Matrix::new(of_sums.get(row..).unwrap_or_default(), n, rows, layer.rows);
            let b = Matrix::new(input, n, layer.columns, layer.columns);
            multiply(own, a.transposed(), b, false);
            lanes::gather_rows(sum, rows, of_sums, layer.rows, row, batch.index);
        });
        let stride = self.bias_rows();
        let mut biases = vec![0.0; batch.biases.len()];
        for (sum, first) in sums {
            let rows = sum.len() / table.max(1);
            for (to, from) in biases.chunks_exact_mut(stride).zip(sum.chunks_exact(rows.max(1))) {
                to[first..first + rows].copy_from_slice(from);
            }
        }
        Gradients {
            inputs,
            weights,
            biases,
        }
    }
}

impl Workspace {
    /// Makes room. What is in the buffers is overwritten before it is read.
    fn prepare(&mut self, widths: &[usize], n: usize, weights: usize) {
        self.turned.resize(weights, 0.0);
        for buffers in [&mut self.outputs, &mut self.slopes] {
            buffers.resize_with(widths.len(), Vec::new);
            for (buffer, width) in buffers.iter_mut().zip(widths) {
                buffer.resize(n * width, 0.0);
            }
        }
    }
}
