//! A whole multi-layer perceptron forward and backward: the products are the queue's, one kernel stands behind each.
//!
//! As on the CPU ([`super::super::stack`]), a hidden layer leaves the slopes that its gradient is multiplied with in its sums' place. With
//! bf16 products the weights are rounded once a pass, and activations, slopes and gradients between layers are kept in 16 bits.

use super::params::{Activate, AddBiases, BiasParts, BiasSums, Combine, LANES};
use super::product::{Operand, Sizes};
use super::{Kept, Products, Queue, Span, across, blocks, check, launch, narrow};
use crate::fused::lanes::Activation;
use crate::fused::stack::{Layer, Stack};
use candle_core::Result;

/// A batch as it comes in.
pub struct Batch<'a> {
    /// `(n, columns of the first layer)`.
    pub inputs: Span<'a, f32>,
    /// All weights.
    pub weights: Span<'a, f32>,
    /// The table of biases, each row as wide as all layers together.
    pub biases: Span<'a, f32>,
    /// Row of the table for each row of the batch, in ascending order; n of them.
    pub index: Span<'a, u32>,
    /// Of each hidden layer, `(n, rows)`, or none at all.
    pub masks: Vec<Span<'a, f32>>,
}

/// Where the gradients go.
pub struct Gradients<'a> {
    /// Of the inputs, where wanted.
    pub inputs: Option<Span<'a, f32>>,
    /// Of all weights.
    pub weights: Span<'a, f32>,
    /// Of the table of biases.
    pub biases: Span<'a, f32>,
}

/// Memory of one forward pass, kept for its backward pass and then for the next.
#[derive(Debug)]
pub struct Space<M> {
    /// Rounded copies, with bf16 products.
    weights: Kept<M>,
    inputs: Kept<M>,
    gradient: Kept<M>,
    /// Of each hidden layer: what it gives on; its sums, then slopes, then gradients.
    layers: Vec<(Kept<M>, Kept<M>)>,
    descent: Kept<M>,
    parts: Kept<M>,
}

impl<M> Default for Space<M> {
    fn default() -> Self {
        Self {
            weights: Kept::default(),
            inputs: Kept::default(),
            gradient: Kept::default(),
            layers: Vec::new(),
            descent: Kept::default(),
            parts: Kept::default(),
        }
    }
}

/// Rows that one part of a sum of biases has at least.
const PART: usize = 512;
/// Parts that an entry's rows are cut into at most.
const CUTS: usize = 64;

/// One pass over a batch.
struct Pass<'a, Q: Queue> {
    queue: &'a Q,
    stack: &'a Stack,
    batch: &'a Batch<'a>,
    products: Products,
    n: usize,
    /// Rows of the table of biases.
    entries: usize,
}

/// The outputs, `(n, rows of the last layer)`, into `out`.
pub fn forward<Q: Queue>(
    queue: &Q,
    stack: &Stack,
    batch: &Batch<'_>,
    products: Products,
    space: &mut Space<Q::Memory>,
    out: Span<'_, f32>,
) -> Result<()> {
    let pass = Pass::new(queue, stack, batch, products)?;
    check(out.len() == pass.n * stack.outputs(), "outputs")?;
    let (weights, inputs) = (pass.weights(space, true)?, pass.inputs(space, true)?);
    let places = stack.places();
    let last = places.len() - 1;
    space.layers.resize_with(last, Default::default);
    let mut input = inputs;
    for (i, (&(layer, _, first), weights)) in places.iter().zip(weights).enumerate() {
        let elements = pass.n * layer.rows;
        let sizes = pass.sizes(layer);
        let (sums, given) = match space.layers.get_mut(i) {
            Some((given, sums)) => {
                let bytes = elements * pass.bytes();
                (
                    pass.dense(sums.at_least(queue, bytes)?, layer.rows),
                    given.at_least(queue, bytes)?,
                )
            }
            None => (
                Operand {
                    address: out.address(),
                    stride: layer.rows,
                    half: false,
                },
                0,
            ),
        };
        // SAFETY: the weights are those of this layer and the input n rows, as `Pass::new` has checked or `at_least`
        // has reserved; sums and outputs have n rows of this layer, and so have mask and residual.
        unsafe {
            queue.multiply(&sizes.forward(weights, input, sums))?;
            if i == last {
                let add = AddBiases {
                    out: sums.address,
                    biases: batch.biases.address(),
                    index: batch.index.address(),
                    n: pass.n as u64,
                    width: narrow(layer.rows)?,
                    stride: narrow(stack.bias_rows())?,
                    first: narrow(first)?,
                    entries: narrow(pass.entries)?,
                };
                return launch(queue, blocks(elements)?, &add);
            }
            let activate = Activate {
                sums: sums.address,
                out: given,
                biases: batch.biases.address(),
                index: batch.index.address(),
                mask: batch.masks.get(i).map_or(0, Span::address),
                residual: if layer.residual { input.address } else { 0 },
                n: pass.n as u64,
                width: narrow(layer.rows)?,
                stride: narrow(stack.bias_rows())?,
                first: narrow(first)?,
                entries: narrow(pass.entries)?,
                activation: match stack.activation() {
                    Activation::Relu => 0,
                    Activation::Silu => 1,
                },
                half: u32::from(pass.half()),
            };
            launch(queue, blocks(elements.div_ceil(4))?, &activate)?;
        }
        input = pass.dense(given, layer.rows);
    }
    Ok(())
}

/// The gradients of `Σ gradient·outputs`, once after each [`forward`] with the same batch and space, whose slopes it uses up.
///
/// * `gradient`: `(n, rows of the last layer)`.
pub fn backward<Q: Queue>(
    queue: &Q,
    stack: &Stack,
    batch: &Batch<'_>,
    products: Products,
    space: &mut Space<Q::Memory>,
    gradient: Span<'_, f32>,
    found: &Gradients<'_>,
) -> Result<()> {
    let pass = Pass::new(queue, stack, batch, products)?;
    let fits = gradient.len() == pass.n * stack.outputs()
        && found.inputs.is_none_or(|inputs| inputs.len() == batch.inputs.len())
        && found.weights.len() == batch.weights.len()
        && found.biases.len() == batch.biases.len();
    check(fits, "gradients")?;
    let (weights, inputs) = (pass.weights(space, false)?, pass.inputs(space, false)?);
    let places = stack.places();
    let last = places.len() - 1;
    check(space.layers.len() == last, "earlier pass")?;
    let widest = stack.hidden().into_iter().max().unwrap_or(0);
    let descent = space.descent.at_least(queue, pass.n * widest * pass.bytes())?;
    let whole = Operand {
        address: gradient.address(),
        stride: stack.outputs(),
        half: false,
    };
    let rounded = if pass.half() {
        let to = space.gradient.at_least(queue, gradient.len() * 2)?;
        pass.combine((to, true), (gradient.address(), false), gradient.len(), 0)?;
        pass.dense(to, stack.outputs())
    } else {
        whole
    };
    for (i, (&(layer, at, first), weights)) in places.iter().zip(weights).enumerate().rev() {
        let elements = pass.n * layer.rows;
        let of_sums = match space.layers.get_mut(i) {
            Some((_, slopes)) => {
                let slopes = slopes.at_least(queue, elements * pass.bytes())?;
                pass.combine((slopes, pass.half()), (descent, pass.half()), elements, 1)?;
                pass.dense(slopes, layer.rows)
            }
            None => rounded,
        };
        let before = i.checked_sub(1).and_then(|i| space.layers.get_mut(i));
        let input = match before {
            Some((given, _)) => pass.dense(
                given.at_least(queue, pass.n * layer.columns * pass.bytes())?,
                layer.columns,
            ),
            None => inputs,
        };
        let sizes = pass.sizes(layer);
        let to = Operand {
            address: found.weights.address() + 4 * at as u64,
            stride: layer.columns,
            half: false,
        };
        // SAFETY: as in `forward`; the gradient of the weights has `rows × columns` elements from `at` on, the descent n rows of the widest
        // layer, and the inputs' gradient the size of the inputs.
        unsafe {
            queue.multiply(&sizes.weights(input, of_sums, to))?;
            // The sums of biases are made from what was not rounded, where that is still there.
            let values = if i == last { whole } else { of_sums };
            pass.biases(&mut space.parts, values, layer, first, found.biases)?;
            if i > 0 {
                let out = pass.dense(descent, layer.columns);
                queue.multiply(&sizes.descent(weights, of_sums, out, layer.residual))?;
            } else if let Some(end) = found.inputs {
                let out = Operand {
                    address: end.address(),
                    stride: layer.columns,
                    half: false,
                };
                queue.multiply(&sizes.descent(weights, of_sums, out, false))?;
                if layer.residual {
                    pass.combine((end.address(), false), (descent, pass.half()), end.len(), 2)?;
                }
            }
        }
    }
    Ok(())
}

impl<'a, Q: Queue> Pass<'a, Q> {
    fn new(queue: &'a Q, stack: &'a Stack, batch: &'a Batch<'a>, products: Products) -> Result<Self> {
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

    fn half(&self) -> bool {
        self.products == Products::Bf16
    }

    /// Of a number between layers.
    fn bytes(&self) -> usize {
        if self.half() { 2 } else { 4 }
    }

    fn dense(&self, address: u64, stride: usize) -> Operand {
        Operand {
            address,
            stride,
            half: self.half(),
        }
    }

    fn sizes(&self, layer: Layer) -> Sizes {
        Sizes {
            batch: self.n,
            rows: layer.rows,
            columns: layer.columns,
            products: self.products,
        }
    }

    /// Each layer's weights as the products take them, rounded anew where asked for.
    fn weights(&self, space: &mut Space<Q::Memory>, anew: bool) -> Result<Vec<Operand>> {
        let from = self.batch.weights;
        let base = self.rounded(&mut space.weights, from, anew)?;
        let operand =
            |(layer, at, _): (Layer, usize, usize)| self.dense(base + (at * self.bytes()) as u64, layer.columns);
        Ok(self.stack.places().into_iter().map(operand).collect())
    }

    fn inputs(&self, space: &mut Space<Q::Memory>, anew: bool) -> Result<Operand> {
        let base = self.rounded(&mut space.inputs, self.batch.inputs, anew)?;
        Ok(self.dense(base, self.stack.inputs()))
    }

    fn rounded(&self, kept: &mut Kept<Q::Memory>, from: Span<'_, f32>, anew: bool) -> Result<u64> {
        if !self.half() {
            return Ok(from.address());
        }
        let to = kept.at_least(self.queue, from.len() * 2)?;
        if anew {
            self.combine((to, true), (from.address(), false), from.len(), 0)?;
        }
        Ok(to)
    }

    /// `a = b`, `a *= b` or `a += b`, each of them an address and whether it is bf16; both have `count` elements.
    fn combine(&self, a: (u64, bool), b: (u64, bool), count: usize, what: u32) -> Result<()> {
        let params = Combine {
            a: a.0,
            b: b.0,
            count: count as u64,
            half_a: u32::from(a.1),
            half_b: u32::from(b.1),
            what,
            unused: 0,
        };
        // SAFETY: private to this file, whose callers pass places of `count` elements.
        unsafe { launch(self.queue, blocks(count.div_ceil(4))?, &params) }
    }

    /// The gradient of a layer's biases from that of its sums.
    fn biases(
        &self,
        parts: &mut Kept<Q::Memory>,
        values: Operand,
        layer: Layer,
        first: usize,
        out: Span<'_, f32>,
    ) -> Result<()> {
        let cuts = (self.n / (self.entries * PART)).clamp(1, CUTS);
        let size = self.entries * layer.rows;
        let sums = BiasParts {
            values: values.address,
            parts: parts.at_least(self.queue, cuts * size * 4)?,
            index: self.batch.index.address(),
            n: self.n as u64,
            width: narrow(layer.rows)?,
            entries: narrow(self.entries)?,
            cuts: narrow(cuts)?,
            half: u32::from(values.half),
        };
        let total = BiasSums {
            out: out.address(),
            parts: sums.parts,
            width: sums.width,
            entries: sums.entries,
            cuts: sums.cuts,
            stride: narrow(self.stack.bias_rows())?,
            first: narrow(first)?,
            unused: 0,
        };
        // SAFETY: the values have n rows of this layer, the parts were reserved, and the table of biases has `entries` rows, in which this
        // layer's columns begin at `first`.
        unsafe {
            launch(
                self.queue,
                across(cuts * self.entries, layer.rows.div_ceil(LANES))?,
                &sums,
            )?;
            launch(self.queue, blocks(size)?, &total)
        }
    }
}
