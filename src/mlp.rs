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
use crate::format::{Format, Input, Row};
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
    /// `scratch`: the buffers of a [`Storage`](crate::storage::Storage) that the model fits.
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
/// * `z`: D values, or more where there are several samples; `output`: f(z, t), overwritten by x̂.
pub fn estimate_data<N: Number>(table: &StepTable<'_, N>, t: usize, z: &[N], output: &mut [N]) {
    let Some(c) = table.at(t) else { return };
    for (x, &z) in output.iter_mut().zip(z) {
        *x = N::mix2(c.skip, z, c.out, *x);
        if table.clip {
            *x = x.clip_unit();
        }
    }
}

/// The network's output `f(z, t)`, of one sample or of several that share one pass over the weights.
///
/// * `t`: step in `1..=T`;
/// * `z`, `output`: D values a sample, one sample after the other;
/// * `scratch`: see [`Mlp::new`]; that much for each sample.
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
    let Scratch { first, second, work } = scratch;
    let work = words::<F::Work>(work);
    let (mut from, mut to): (&mut [F::Activation], &mut [F::Activation]) = (first, second);
    let samples = z.len() / model.dim().max(1);
    let layers = model.layers();
    let last = layers.len().saturating_sub(1);
    for (index, layer) in layers.enumerate() {
        let length = layer.columns.wrapping_mul(samples);
        let input = match index {
            0 => Input::State(z.get(..length).unwrap_or(&[])),
            _ => Input::Hidden(from.get(..length).unwrap_or(&[])),
        };
        observe(index, input);
        if index == last {
            plain(&layer, t, input, work, output, |_, _, _| 0, F::output);
        } else if index == 0 {
            // The output is not written before the last layer, and has room for what the first makes of the state.
            hidden(&layer, t, input, words(output), to);
        } else {
            hidden(&layer, t, input, work, to);
        }
        core::mem::swap(&mut from, &mut to);
    }
}

/// One hidden layer, with its rectifier and its residual fused into the write of each output.
///
/// * `input`: `columns` values a sample, one sample after the other; `output`: `rows` values a sample;
/// * `work`: see [`Format::sums`].
pub fn hidden<F: Format>(
    layer: &Layer<'_, F>,
    t: usize,
    input: Input<'_, F>,
    work: &mut [u32],
    output: &mut [F::Activation],
) {
    let before: &[F::Activation] = match input {
        Input::Hidden(before) if layer.residual => before,
        _ => &[],
    };
    let many = |rows: (&[F::Bias], &[F::Requant]), sums: &[F::Sum], output: &mut [F::Activation]| {
        F::activate_many(rows, sums, None, output)
    };
    // Each of the four as a loop of its own; formats that rectify always have two.
    match (F::RECTIFIED || layer.relu, layer.residual) {
        (true, true) => residual(layer, t, input, work, before, output, |row, sum, x| {
            F::activate(row, sum, true, Some(x))
        }),
        (true, false) => plain(layer, t, input, work, output, many, |row, sum| {
            F::activate(row, sum, true, None)
        }),
        (false, true) => residual(layer, t, input, work, before, output, |row, sum, x| {
            F::activate(row, sum, false, Some(x))
        }),
        (false, false) => plain(layer, t, input, work, output, many, |row, sum| {
            F::activate(row, sum, false, None)
        }),
    }
}

/// A layer whose outputs are what `finish` makes of each row's sum and input.
#[inline(always)]
fn residual<F: Format>(
    layer: &Layer<'_, F>,
    t: usize,
    input: Input<'_, F>,
    work: &mut [u32],
    before: &[F::Activation],
    output: &mut [F::Activation],
    finish: impl Fn(Row<F>, F::Sum, F::Activation) -> F::Activation,
) {
    let rows = layer.finish(t);
    F::sums(layer, input, work, &mut |sample, first, sums| {
        let from = sample.wrapping_mul(layer.rows).wrapping_add(first);
        let (Some(rows), Some(output), Some(before)) = (
            rows.of(first, sums.len()),
            window_mut(output, from, sums.len()),
            window(before, from, sums.len()),
        ) else {
            return;
        };
        // No exponent: input and output of a residual layer have the same unit.
        let done = F::activate_many(rows, sums, Some(before), output);
        for (((slot, &sum), &x), row) in output.iter_mut().zip(sums).zip(before).zip(each::<F>(rows)).skip(done) {
            *slot = finish(row, sum, x);
        }
    });
}

/// A layer whose outputs are what `finish` makes of each row's sum, but for those that `many` makes at once.
#[inline(always)]
fn plain<F: Format, T>(
    layer: &Layer<'_, F>,
    t: usize,
    input: Input<'_, F>,
    work: &mut [u32],
    output: &mut [T],
    many: impl Fn((&[F::Bias], &[F::Requant]), &[F::Sum], &mut [T]) -> usize,
    finish: impl Fn(Row<F>, F::Sum) -> T,
) {
    let rows = layer.finish(t);
    F::sums(layer, input, work, &mut |sample, first, sums| {
        let from = sample.wrapping_mul(layer.rows).wrapping_add(first);
        let (Some(window), Some(output)) = (rows.of(first, sums.len()), window_mut(output, from, sums.len())) else {
            return;
        };
        // Most steps of most models have no exponent, and should not pay for one.
        if rows.exponent == 0 {
            let done = many(window, sums, output);
            for ((slot, &sum), row) in output.iter_mut().zip(sums).zip(each::<F>(window)).skip(done) {
                *slot = finish(row, sum);
            }
        } else {
            let pairs = output.iter_mut().zip(sums).zip(each::<F>(window));
            for ((slot, &sum), row) in pairs {
                let requant = F::scaled(row.requant, rows.exponent);
                *slot = finish(Row { requant, ..row }, sum);
            }
        }
    });
}

/// Row by row.
#[inline(always)]
fn each<'a, F: Format>((biases, requant): (&'a [F::Bias], &'a [F::Requant])) -> impl Iterator<Item = Row<F>> + 'a {
    biases.iter().zip(requant).map(|(&bias, &requant)| Row {
        bias,
        requant: F::of_kernel(requant),
    })
}

fn window<T>(all: &[T], first: usize, count: usize) -> Option<&[T]> {
    all.get(first..)?.get(..count)
}

fn window_mut<T>(all: &mut [T], first: usize, count: usize) -> Option<&mut [T]> {
    all.get_mut(first..)?.get_mut(..count)
}

/// As many whole words as there are, or none where they are not aligned: kernels then do without.
fn words<T: bytemuck::Pod>(buffer: &mut [T]) -> &mut [u32] {
    let per_word = size_of::<u32>().checked_div(size_of::<T>()).unwrap_or(0).max(1);
    let whole = buffer.len() - buffer.len() % per_word;
    buffer
        .get_mut(..whole)
        .and_then(|b| bytemuck::try_cast_slice_mut(b).ok())
        .unwrap_or(&mut [])
}
