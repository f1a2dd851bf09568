//! The backward pass.

use super::layers::{LayerPlace, Stack};
use super::operands::{Batch, Gradients, Workspace, cut};
use crate::fused::lanes;
use crate::fused::pieces;
use crate::fused::product::{Matrix, multiply};

/// Sums of one piece of a layer's biases: their values for every entry of the table, and the first column.
type BiasSums = (Vec<f32>, usize);

impl Stack {
    /// Computes the gradients of `Σ gradient·outputs`.
    ///
    /// Called once after each [`forward`](Self::forward) with the same batch and workspace, whose slopes it overwrites.
    ///
    /// * `gradient`: `(n, rows of the last layer)`;
    /// * `of_inputs`: whether the inputs' gradient is wanted too.
    pub fn backward(&self, batch: Batch<'_>, space: &mut Workspace, gradient: &[f32], of_inputs: bool) -> Gradients {
        let places = self.places();
        let mut inputs = of_inputs.then(|| vec![0.0; batch.index.len() * self.inputs()]);
        self.descend(&places, batch, space, gradient, inputs.as_deref_mut());
        let (weights, sums) = self.weight_gradients(&places, batch, space, gradient);
        Gradients {
            inputs,
            weights,
            biases: self.bias_gradient(&sums, batch.biases.len()),
        }
    }

    /// Takes the gradient down all layers, a piece of the batch at a time. Leaves the gradients of the sums in `space`,
    /// and the inputs' in `inputs`.
    fn descend(
        &self,
        places: &[LayerPlace],
        batch: Batch<'_>,
        space: &mut Workspace,
        gradient: &[f32],
        inputs: Option<&mut [f32]>,
    ) {
        let (n, widths) = (batch.index.len(), self.hidden());
        let count = n.div_ceil(pieces::BATCH_ROWS);
        let widest = widths.iter().copied().max().unwrap_or(0);
        space.descent.resize(n * widest, 0.0);
        let slopes = cut(&mut space.slopes, &widths, pieces::BATCH_ROWS, count);
        // Without a hidden layer there is nothing to descend through, but there are still pieces.
        let mut descents: Vec<&mut [f32]> = space.descent.chunks_mut((pieces::BATCH_ROWS * widest).max(1)).collect();
        descents.resize_with(count, Default::default);
        let mut ends: Vec<Option<&mut [f32]>> = match inputs {
            Some(inputs) => inputs
                .chunks_mut(pieces::BATCH_ROWS * self.inputs())
                .map(Some)
                .collect(),
            None => Vec::new(),
        };
        ends.resize_with(count, || None);
        let work: Vec<_> = slopes.into_iter().zip(descents).zip(ends).enumerate().collect();
        pieces::each(work, |(piece, ((mut slopes, descent), mut end))| {
            let from = piece * pieces::BATCH_ROWS;
            let rows = pieces::BATCH_ROWS.min(n - from);
            for (i, place) in places.iter().enumerate().rev() {
                let layer = place.layer;
                let of_sums: &[f32] = match slopes.get_mut(i) {
                    Some(slopes) => {
                        lanes::scale(slopes, &descent[..rows * layer.rows]);
                        slopes
                    }
                    None => &gradient[from * layer.rows..(from + rows) * layer.rows],
                };
                let a = Matrix::new(of_sums, rows, layer.rows, layer.rows);
                let matrix = &batch.weights[place.weight..place.weight + layer.rows * layer.columns];
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
    }

    /// Computes the gradient of the weights, and the sums of the biases, a piece of a matrix at a time.
    fn weight_gradients(
        &self,
        places: &[LayerPlace],
        batch: Batch<'_>,
        space: &Workspace,
        gradient: &[f32],
    ) -> (Vec<f32>, Vec<BiasSums>) {
        let (n, last) = (batch.index.len(), places.len() - 1);
        let mut weights = vec![0.0; self.weights()];
        let table = batch.biases.len() / self.bias_rows();
        let mut matrices = Vec::new();
        let mut sums: Vec<BiasSums> = Vec::new();
        let mut rest = weights.as_mut_slice();
        for (i, place) in places.iter().enumerate() {
            for row in (0..place.layer.rows).step_by(pieces::MATRIX_ROWS) {
                let rows = pieces::MATRIX_ROWS.min(place.layer.rows - row);
                let (own, after) = rest.split_at_mut(rows * place.layer.columns);
                rest = after;
                matrices.push((own, i, row));
                sums.push((vec![0.0; table * rows], place.bias + row));
            }
        }
        let work: Vec<_> = matrices.into_iter().zip(&mut sums).collect();
        pieces::each(work, |((own, i, row), (sum, _))| {
            let layer = places[i].layer;
            let rows = own.len() / layer.columns;
            let of_sums: &[f32] = if i == last { gradient } else { &space.slopes[i] };
            let input: &[f32] = if i == 0 { batch.inputs } else { &space.outputs[i - 1] };
            let a = Matrix::new(of_sums.get(row..).unwrap_or_default(), n, rows, layer.rows);
            let b = Matrix::new(input, n, layer.columns, layer.columns);
            multiply(own, a.transposed(), b, false);
            lanes::gather_rows(sum, rows, of_sums, layer.rows, row, batch.index);
        });
        (weights, sums)
    }

    /// Puts the sums of all pieces into one table of `size` biases.
    fn bias_gradient(&self, sums: &[BiasSums], size: usize) -> Vec<f32> {
        let stride = self.bias_rows();
        let table = size / stride;
        let mut biases = vec![0.0; size];
        for (sum, first) in sums {
            let rows = sum.len() / table.max(1);
            for (to, from) in biases.chunks_exact_mut(stride).zip(sum.chunks_exact(rows.max(1))) {
                to[*first..first + rows].copy_from_slice(from);
            }
        }
        biases
    }
}
