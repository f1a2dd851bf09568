//! The MLP denoiser: the walk through the layers, once for every format; one file per format.

mod a8;
mod f16;
mod f32;
mod w8a16;

pub use self::f16::F16;
pub use self::f32::F32;
pub use a8::{A8, W4A8, W8A8};
pub use w8a16::W8A16;

use crate::denoiser::Denoiser;
use crate::format::{Format, Input};
use crate::model::{Layer, Model, StepTable};
use crate::number::Number;
use crate::storage::Scratch;

/// The network of a model with the memory it works in.
pub struct Mlp<'m, 's, F: Format> {
    model: Model<'m, F>,
    table: StepTable<'m, F::Number>,
    scratch: Scratch<'s, F>,
}

impl<'m, 's, F: Format> Mlp<'m, 's, F> {
    /// Two buffers, each at least as wide as the widest hidden layer.
    pub fn new(model: &Model<'m, F>, scratch: Scratch<'s, F>) -> Self {
        Self {
            model: *model,
            table: model.step_table(),
            scratch,
        }
    }
}

impl<F: Format> Denoiser for Mlp<'_, '_, F> {
    type Number = F::Number;

    fn denoise(&mut self, z: &[F::Number], t: usize, estimate: &mut [F::Number]) {
        forward(&self.model, t, z, &mut self.scratch, estimate);
        estimate_data(&self.table, t, z, estimate);
    }
}

/// From the network's output to the estimate of the data: `x̂ = skip·z + out·f`, clipped where the model says so.
///
/// * `z`: D values; `output`: f(z, t), overwritten by x̂.
pub fn estimate_data<N: Number>(table: &StepTable<'_, N>, t: usize, z: &[N], output: &mut [N]) {
    let Some(c) = table.at(t) else { return };
    for (x, &z) in output.iter_mut().zip(z) {
        *x = N::mix2(c.skip, z, c.out, *x);
        if table.clip {
            *x = x.clip_unit();
        }
    }
}

/// The network's output `f(z, t)`.
///
/// * `t`: step in `1..=T`;
/// * `z`, `output`: D values;
/// * `scratch`: see [`Mlp::new`].
pub fn forward<F: Format>(
    model: &Model<'_, F>,
    t: usize,
    z: &[F::Number],
    scratch: &mut Scratch<'_, F>,
    output: &mut [F::Number],
) {
    forward_observed(model, t, z, scratch, output, |_, _| {});
}

/// [`forward`], showing each layer's input to `observe(layer, input)` before the layer runs: what calibration measures.
pub fn forward_observed<F: Format>(
    model: &Model<'_, F>,
    t: usize,
    z: &[F::Number],
    scratch: &mut Scratch<'_, F>,
    output: &mut [F::Number],
    mut observe: impl FnMut(usize, Input<'_, F>),
) {
    let Scratch { first, second } = scratch;
    let (mut from, mut to): (&mut [F::Activation], &mut [F::Activation]) = (first, second);
    let layers = model.layers();
    let last = layers.len().saturating_sub(1);
    for (index, layer) in layers.enumerate() {
        let input = match index {
            0 => Input::State(z.get(..layer.columns).unwrap_or(&[])),
            _ => Input::Hidden(from.get(..layer.columns).unwrap_or(&[])),
        };
        observe(index, input);
        if index == last {
            F::sums(&layer, input, |row, sum| {
                if let Some(slot) = output.get_mut(row) {
                    *slot = F::output(layer.row(row, t), sum);
                }
            });
        } else {
            hidden(&layer, t, input, to);
            core::mem::swap(&mut from, &mut to);
        }
    }
}

/// One hidden layer, with its rectifier and its residual fused into the write of each output.
fn hidden<F: Format>(layer: &Layer<'_, F>, t: usize, input: Input<'_, F>, output: &mut [F::Activation]) {
    let skip: &[F::Activation] = match input {
        Input::Hidden(input) if layer.residual => input,
        _ => &[],
    };
    F::sums(layer, input, |row, sum| {
        if let Some(slot) = output.get_mut(row) {
            *slot = F::activate(layer.row(row, t), sum, layer.relu, skip.get(row).copied());
        }
    });
}
