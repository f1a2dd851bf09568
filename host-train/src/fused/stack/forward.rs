//! The forward pass.

use super::layers::Stack;
use super::operands::{Batch, Workspace, cut};
use crate::fused::lanes::{self, Biases, Hidden};
use crate::fused::pieces;
use crate::fused::product::{Matrix, multiply, transpose};

impl Stack {
    /// Computes the outputs, `(n, rows of the last layer)`. `batch` must have this network's sizes.
    pub fn forward(&self, batch: Batch<'_>, space: &mut Workspace) -> Vec<f32> {
        let n = batch.index.len();
        let (places, widths) = (self.places(), self.hidden());
        let last = places.len() - 1;
        let stride = self.bias_rows();
        space.prepare(&widths, n, self.weights());
        self.transpose_weights(&mut space.transposed, batch.weights);

        let mut out = vec![0.0; n * self.outputs()];
        let count = n.div_ceil(pieces::BATCH_ROWS);
        let outputs = cut(&mut space.outputs, &widths, pieces::BATCH_ROWS, count);
        let slopes = cut(&mut space.slopes, &widths, pieces::BATCH_ROWS, count);
        let ends = out.chunks_mut(pieces::BATCH_ROWS * self.outputs());
        let work: Vec<_> = outputs.into_iter().zip(slopes).zip(ends).enumerate().collect();
        let transposed = &space.transposed;
        pieces::each(work, |(piece, ((mut outputs, mut slopes), end))| {
            let from = piece * pieces::BATCH_ROWS;
            let rows = pieces::BATCH_ROWS.min(n - from);
            let index = &batch.index[from..from + rows];
            for (i, place) in places.iter().enumerate() {
                let layer = place.layer;
                let (before, own) = outputs.split_at_mut(i);
                let input: &[f32] = match before.last() {
                    Some(before) => before,
                    None => &batch.inputs[from * layer.columns..(from + rows) * layer.columns],
                };
                let a = Matrix::new(input, rows, layer.columns, layer.columns);
                let matrix = &transposed[place.weight..place.weight + layer.rows * layer.columns];
                let b = Matrix::new(matrix, layer.columns, layer.rows, layer.rows);
                let biases = Biases {
                    table: batch.biases,
                    stride,
                    first: place.bias,
                    index,
                };
                if i == last {
                    multiply(end, a, b, false);
                    lanes::add_biases(end, layer.rows, biases);
                    continue;
                }
                multiply(slopes[i], a, b, false);
                let own_rows = from * layer.rows..(from + rows) * layer.rows;
                let hidden = Hidden {
                    width: layer.rows,
                    biases,
                    mask: batch.masks.get(i).map(|mask| &mask[own_rows]),
                    residual: layer.residual.then_some(input),
                };
                lanes::activate(self.activation(), slopes[i], own[0], &hidden);
            }
        });
        out
    }

    /// Transposes each layer's matrix in its place.
    fn transpose_weights(&self, mut out: &mut [f32], weights: &[f32]) {
        let places = self.places();
        let mut matrices = Vec::with_capacity(places.len());
        for place in places {
            let size = place.layer.rows * place.layer.columns;
            let (own, after) = std::mem::take(&mut out).split_at_mut(size);
            matrices.push((own, place.layer, &weights[place.weight..place.weight + size]));
            out = after;
        }
        pieces::each(matrices, |(out, layer, weights)| {
            transpose(out, weights, layer.rows, layer.columns);
        });
    }
}
