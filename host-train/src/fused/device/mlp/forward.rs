//! The forward pass.
#![allow(unsafe_code)] // Kernels run on plain addresses, for which this file answers.

use super::super::launch::{blocks, check, launch, narrow};
use super::super::params::{Activate, AddBiases};
use super::super::product::Operand;
use super::super::products::Products;
use super::super::queue::Queue;
use super::super::span::Span;
use super::operands::{BatchSpans, Space};
use super::pass::DevicePass;
use crate::fused::lanes::Activation;
use crate::fused::stack::{LayerPlace, Stack};
use candle_core::Result;

/// Computes the outputs, `(n, rows of the last layer)`, into `out`.
pub fn forward<Q: Queue>(
    queue: &Q,
    stack: &Stack,
    batch: &BatchSpans<'_>,
    products: Products,
    space: &mut Space<Q::Memory>,
    out: Span<'_, f32>,
) -> Result<()> {
    let pass = DevicePass::new(queue, stack, batch, products)?;
    check(out.len() == pass.n * stack.outputs(), "outputs")?;
    let (weights, inputs) = (pass.weights(space, true)?, pass.inputs(space, true)?);
    let places = stack.places();
    space.layers.resize_with(places.len() - 1, Default::default);
    let mut input = inputs;
    for (i, (place, weights)) in places.into_iter().zip(weights).enumerate() {
        let layer = place.layer;
        let sizes = pass.sizes(layer);
        let Some(own) = space.layers.get_mut(i) else {
            let out = Operand {
                address: out.address(),
                stride: layer.rows,
                bf16: false,
            };
            // SAFETY: the weights are those of this layer; the input and the outputs have n rows, as was checked above
            // or reserved.
            unsafe { queue.multiply(&sizes.forward(weights, input, out))? };
            return pass.add_biases(place, out);
        };
        let bytes = pass.n * layer.rows * pass.bytes();
        let sums = pass.dense(own.sums.at_least(queue, bytes)?, layer.rows);
        let outputs = pass.dense(own.outputs.at_least(queue, bytes)?, layer.rows);
        // SAFETY: as above; the sums have n rows of this layer.
        unsafe { queue.multiply(&sizes.forward(weights, input, sums))? };
        pass.activate(i, place, [input, sums, outputs])?;
        input = outputs;
    }
    Ok(())
}

impl<Q: Queue> DevicePass<'_, Q> {
    /// Hidden layer `index` from its sums to its outputs.
    fn activate(&self, index: usize, place: LayerPlace, [input, sums, outputs]: [Operand; 3]) -> Result<()> {
        let (layer, batch) = (place.layer, self.batch);
        let params = Activate {
            sums: sums.address,
            out: outputs.address,
            biases: batch.biases.address(),
            index: batch.index.address(),
            mask: batch.masks.get(index).map_or(0, Span::address),
            residual: if layer.residual { input.address } else { 0 },
            n: self.n as u64,
            width: narrow(layer.rows)?,
            stride: narrow(self.stack.bias_rows())?,
            first: narrow(place.bias)?,
            entries: narrow(self.entries)?,
            activation: match self.stack.activation() {
                Activation::Relu => 0,
                Activation::Silu => 1,
            },
            bf16: u32::from(self.is_bf16()),
        };
        // SAFETY: sums and outputs have n rows of this layer, and so have mask and residual.
        unsafe { launch(self.queue, blocks((self.n * layer.rows).div_ceil(4))?, &params) }
    }

    /// The last layer from its sums to its outputs, in place.
    fn add_biases(&self, place: LayerPlace, out: Operand) -> Result<()> {
        let params = AddBiases {
            out: out.address,
            biases: self.batch.biases.address(),
            index: self.batch.index.address(),
            n: self.n as u64,
            width: narrow(place.layer.rows)?,
            stride: narrow(self.stack.bias_rows())?,
            first: narrow(place.bias)?,
            entries: narrow(self.entries)?,
        };
        // SAFETY: the outputs have n rows of this layer.
        unsafe { launch(self.queue, blocks(self.n * place.layer.rows)?, &params) }
    }
}
