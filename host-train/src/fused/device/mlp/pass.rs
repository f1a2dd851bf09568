//! The operands that forward and backward passes have in common.
#![allow(unsafe_code)] // Kernels run on plain addresses, for which the caller answers.

use super::super::launch::{blocks, check, launch};
use super::super::memory::GrowingMemory;
use super::super::params::Combine;
use super::super::product::{Operand, ProductSizes};
use super::super::products::Products;
use super::super::queue::Queue;
use super::super::span::Span;
use super::operands::{BatchSpans, Space};
use crate::fused::stack::{LayerPlace, LayerShape, Stack};
use candle_core::Result;

/// One pass over a batch.
pub(super) struct DevicePass<'a, Q: Queue> {
    pub queue: &'a Q,
    pub stack: &'a Stack,
    pub batch: &'a BatchSpans<'a>,
    pub products: Products,
    /// Rows of the batch.
    pub n: usize,
    /// Rows of the table of biases.
    pub entries: usize,
}

/// Element by element: the operation of [`DevicePass::combine`], as its kernel counts them.
#[derive(Clone, Copy)]
pub(super) enum Combination {
    /// `a = b`.
    Copy = 0,
    /// `a *= b`.
    Multiply = 1,
    /// `a += b`.
    Add = 2,
}

impl<'a, Q: Queue> DevicePass<'a, Q> {
    /// Checks the sizes of the batch.
    pub fn new(queue: &'a Q, stack: &'a Stack, batch: &'a BatchSpans<'a>, products: Products) -> Result<Self> {
        let n = batch.index.len();
        let hidden = stack.hidden();
        check(n > 0 && batch.inputs.len() == n * stack.inputs(), "inputs")?;
        check(batch.weights.len() == stack.weights(), "weights")?;
        let entries = batch.biases.len() / stack.bias_rows();
        check(
            entries > 0 && batch.biases.len() == entries * stack.bias_rows(),
            "biases",
        )?;
        let masked = batch
            .masks
            .iter()
            .zip(&hidden)
            .all(|(mask, rows)| mask.len() == n * rows);
        check(
            batch.masks.is_empty() || (batch.masks.len() == hidden.len() && masked),
            "masks",
        )?;
        Ok(Self {
            queue,
            stack,
            batch,
            products,
            n,
            entries,
        })
    }

    /// Returns whether numbers between layers are bf16.
    pub fn is_bf16(&self) -> bool {
        self.products == Products::Bf16
    }

    /// Bytes of a number between layers.
    pub fn bytes(&self) -> usize {
        if self.is_bf16() { 2 } else { 4 }
    }

    /// A dense matrix of numbers between layers.
    pub fn dense(&self, address: u64, stride: usize) -> Operand {
        Operand {
            address,
            stride,
            bf16: self.is_bf16(),
        }
    }

    /// Returns the sizes of a layer's product.
    pub fn sizes(&self, layer: LayerShape) -> ProductSizes {
        ProductSizes {
            batch: self.n,
            rows: layer.rows,
            columns: layer.columns,
            products: self.products,
        }
    }

    /// Each layer's weights as the products take them.
    ///
    /// * `anew`: whether to round them again.
    pub fn weights(&self, space: &mut Space<Q::Memory>, anew: bool) -> Result<Vec<Operand>> {
        let from = self.batch.weights;
        let base = self.rounded(&mut space.weights, from, anew)?;
        let operand = |place: LayerPlace| self.dense(base + (place.weight * self.bytes()) as u64, place.layer.columns);
        Ok(self.stack.places().into_iter().map(operand).collect())
    }

    /// The inputs as the products take them; `anew` as in [`weights`](Self::weights).
    pub fn inputs(&self, space: &mut Space<Q::Memory>, anew: bool) -> Result<Operand> {
        let base = self.rounded(&mut space.inputs, self.batch.inputs, anew)?;
        Ok(self.dense(base, self.stack.inputs()))
    }

    fn rounded(&self, memory: &mut GrowingMemory<Q::Memory>, from: Span<'_, f32>, anew: bool) -> Result<u64> {
        if !self.is_bf16() {
            return Ok(from.address());
        }
        let to = memory.at_least(self.queue, from.len() * 2)?;
        if anew {
            self.combine((to, true), Combination::Copy, (from.address(), false), from.len())?;
        }
        Ok(to)
    }

    /// Combines `count` elements of `a` with those of `b`. Each is an address, and whether its elements are bf16.
    pub fn combine(&self, a: (u64, bool), how: Combination, b: (u64, bool), count: usize) -> Result<()> {
        let params = Combine {
            a: a.0,
            b: b.0,
            count: count as u64,
            bf16_a: u32::from(a.1),
            bf16_b: u32::from(b.1),
            operation: how as u32,
            unused: 0,
        };
        // SAFETY: private to this folder, whose callers pass places of `count` elements.
        unsafe { launch(self.queue, blocks(count.div_ceil(4))?, &params) }
    }
}
