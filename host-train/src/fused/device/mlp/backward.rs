//! The backward pass.
#![allow(unsafe_code)] // Kernels run on plain addresses, for which this file answers.

use super::super::launch::{blocks, check, grid, launch, narrow};
use super::super::memory::GrowingMemory;
use super::super::params::{BiasParts, BiasSums, LANES};
use super::super::product::Operand;
use super::super::products::Products;
use super::super::queue::Queue;
use super::super::span::Span;
use super::operands::{BatchSpans, GradientSpans, Space};
use super::pass::{Combination, DevicePass};
use crate::fused::stack::{LayerPlace, Stack};
use candle_core::Result;

/// Rows that one part of a sum of biases has at least.
const PART_ROWS: usize = 512;
/// Parts that an entry's rows are cut into at most.
const MAX_PARTS: usize = 64;

/// Computes the gradients of `Σ gradient·outputs`.
///
/// Called once after each [`forward`](super::forward) with the same batch and space, whose slopes it overwrites.
///
/// * `gradient`: `(n, rows of the last layer)`.
pub fn backward<Q: Queue>(
    queue: &Q,
    stack: &Stack,
    batch: &BatchSpans<'_>,
    products: Products,
    space: &mut Space<Q::Memory>,
    gradient: Span<'_, f32>,
    out: &GradientSpans<'_>,
) -> Result<()> {
    let pass = DevicePass::new(queue, stack, batch, products)?;
    pass.check_gradients(gradient, out)?;
    let (weights, inputs) = (pass.weights(space, false)?, pass.inputs(space, false)?);
    let places = stack.places();
    let last = places.len() - 1;
    check(space.layers.len() == last, "earlier pass")?;
    let widest = stack.hidden().into_iter().max().unwrap_or(0);
    let descent = space.descent.at_least(queue, pass.n * widest * pass.bytes())?;
    let (whole, rounded) = pass.output_gradient(&mut space.gradient, gradient)?;
    for (i, (&place, weights)) in places.iter().zip(weights).enumerate().rev() {
        let layer = place.layer;
        let elements = pass.n * layer.rows;
        let of_sums = match space.layers.get_mut(i) {
            Some(own) => {
                let slopes = own.sums.at_least(queue, elements * pass.bytes())?;
                let from = (descent, pass.is_bf16());
                pass.combine((slopes, pass.is_bf16()), Combination::Multiply, from, elements)?;
                pass.dense(slopes, layer.rows)
            }
            None => rounded,
        };
        let before = i.checked_sub(1).and_then(|i| space.layers.get_mut(i));
        let input = match before {
            Some(before) => {
                let bytes = pass.n * layer.columns * pass.bytes();
                pass.dense(before.outputs.at_least(queue, bytes)?, layer.columns)
            }
            None => inputs,
        };
        let to = Operand {
            address: out.weights.address() + 4 * place.weight as u64,
            stride: layer.columns,
            bf16: false,
        };
        // SAFETY: as in `forward`; the gradient of the weights has `rows × columns` elements from this layer's place
        // on.
        unsafe { queue.multiply(&pass.sizes(layer).weights(input, of_sums, to))? };
        // The sums of biases are made from the unrounded gradient where it still exists.
        let values = if i == last { whole } else { of_sums };
        pass.sum_biases(&mut space.parts, values, place, out.biases)?;
        pass.descend(i, place, [weights, of_sums], descent, out)?;
    }
    Ok(())
}

impl<Q: Queue> DevicePass<'_, Q> {
    fn check_gradients(&self, gradient: Span<'_, f32>, out: &GradientSpans<'_>) -> Result<()> {
        let batch = self.batch;
        let fits = gradient.len() == self.n * self.stack.outputs()
            && out.inputs.is_none_or(|inputs| inputs.len() == batch.inputs.len())
            && out.weights.len() == batch.weights.len()
            && out.biases.len() == batch.biases.len();
        check(fits, "gradients")
    }

    /// The gradient of the outputs, in f32 and as the products take it.
    fn output_gradient(
        &self,
        memory: &mut GrowingMemory<Q::Memory>,
        gradient: Span<'_, f32>,
    ) -> Result<(Operand, Operand)> {
        let whole = Operand {
            address: gradient.address(),
            stride: self.stack.outputs(),
            bf16: false,
        };
        if !self.is_bf16() {
            return Ok((whole, whole));
        }
        let to = memory.at_least(self.queue, gradient.len() * 2)?;
        let from = (gradient.address(), false);
        self.combine((to, true), Combination::Copy, from, gradient.len())?;
        Ok((whole, self.dense(to, self.stack.outputs())))
    }

    /// The gradient of a layer's input from that of its sums.
    fn descend(
        &self,
        index: usize,
        place: LayerPlace,
        [weights, of_sums]: [Operand; 2],
        descent: u64,
        out: &GradientSpans<'_>,
    ) -> Result<()> {
        let (layer, sizes) = (place.layer, self.sizes(place.layer));
        if index > 0 {
            let to = self.dense(descent, layer.columns);
            // SAFETY: the descent has n rows of the widest layer.
            return unsafe {
                self.queue
                    .multiply(&sizes.descent(weights, of_sums, to, layer.residual))
            };
        }
        let Some(end) = out.inputs else { return Ok(()) };
        let to = Operand {
            address: end.address(),
            stride: layer.columns,
            bf16: false,
        };
        // SAFETY: the inputs' gradient has the size of the inputs.
        unsafe { self.queue.multiply(&sizes.descent(weights, of_sums, to, false))? };
        if layer.residual {
            let from = (descent, self.is_bf16());
            self.combine((end.address(), false), Combination::Add, from, end.len())?;
        }
        Ok(())
    }

    /// The gradient of a layer's biases from that of its sums.
    fn sum_biases(
        &self,
        parts: &mut GrowingMemory<Q::Memory>,
        values: Operand,
        place: LayerPlace,
        out: Span<'_, f32>,
    ) -> Result<()> {
        let rows = place.layer.rows;
        let cuts = (self.n / (self.entries * PART_ROWS)).clamp(1, MAX_PARTS);
        let size = self.entries * rows;
        let sums = BiasParts {
            values: values.address,
            parts: parts.at_least(self.queue, cuts * size * 4)?,
            index: self.batch.index.address(),
            n: self.n as u64,
            width: narrow(rows)?,
            entries: narrow(self.entries)?,
            cuts: narrow(cuts)?,
            bf16: u32::from(values.bf16),
        };
        let total = BiasSums {
            out: out.address(),
            parts: sums.parts,
            width: sums.width,
            entries: sums.entries,
            cuts: sums.cuts,
            stride: narrow(self.stack.bias_rows())?,
            first: narrow(place.bias)?,
            unused: 0,
        };
        let partial = grid(cuts * self.entries, rows.div_ceil(LANES))?;
        // SAFETY: the values have n rows of this layer, the parts were reserved, and the table of biases has `entries`
        // rows, in which this layer's columns begin at `first`.
        unsafe {
            launch(self.queue, partial, &sums)?;
            launch(self.queue, blocks(size)?, &total)
        }
    }
}
