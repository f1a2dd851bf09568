//! The MLP denoiser: the walk through the layers, once for every number format.

use crate::denoiser::{Denoiser, copy_state};
use crate::format::{Format, Input, RowFinish, RowFinishes};
use crate::kernel::SMALL;
use crate::model::{Finish, Layer, Model};
use crate::number::Number;
use crate::read_out::ReadOut;
use crate::schedule::StepConstants;
use crate::storage::Scratch;

/// The network of a model with the memory it works in.
pub struct Mlp<'m, 's, F: Format> {
    model: &'s Model<'m, F>,
    scratch: Scratch<'s, F>,
}

impl<'m, 's, F: Format> Mlp<'m, 's, F> {
    /// Creates the denoiser of a model.
    ///
    /// * `scratch`: the buffers of a [`Storage`](crate::storage::Storage) that the model fits.
    pub fn new(model: &'s Model<'m, F>, scratch: Scratch<'s, F>) -> Self {
        Self { model, scratch }
    }
}

impl<F: Format> Denoiser for Mlp<'_, '_, F> {
    type Number = F::Number;

    fn denoise(&mut self, z: &[F::Number], t: usize, estimate: &mut [F::Number]) {
        forward(self.model, t, z, &mut self.scratch, estimate);
        if let Some(constants) = self.model.constants(t) {
            estimate_data(&constants, self.model.read_outs().get(t), z, estimate);
        }
    }

    fn decode(&mut self, z: &[F::Number], argument: &mut [F::Number]) {
        if !self.model.header().network_decoder {
            return copy_state(z, argument);
        }
        forward(self.model, 0, z, &mut self.scratch, argument);
        decode_argument(self.model, z, argument);
    }
}

/// Turns the network's output into the estimate of the data, `x̂ = G_t(skip·z + out·f)`.
///
/// * `constants`: those of the step;
/// * `read_out`: that of the step, G_t;
/// * `z`: D values per sample;
/// * `output`: f(z, t), overwritten by x̂.
pub fn estimate_data<N: Number>(
    constants: &StepConstants<N::Constant>,
    read_out: ReadOut<'_>,
    z: &[N],
    output: &mut [N],
) {
    // Matched once and not for each value.
    match read_out {
        ReadOut::Levels(_) => argument_into(constants, z, output, |u| u.read_out(read_out)),
        ReadOut::Clip => argument_into(constants, z, output, |u| u.read_out(ReadOut::Clip)),
        ReadOut::Identity => argument_into(constants, z, output, |u| u),
    }
}

/// Turns the network's output at t = 0 into the argument of the network decoder.
///
/// * `z`: z_0, D values per sample;
/// * `output`: f(z_0, 0), overwritten: by the argument of the read-out for levels, by x̂ for continuous data.
pub fn decode_argument<F: Format>(model: &Model<'_, F>, z: &[F::Number], output: &mut [F::Number]) {
    let read_out = match model.read_outs().get(0) {
        ReadOut::Levels(_) => ReadOut::Identity,
        other => other,
    };
    if let Some(constants) = model.constants(0) {
        estimate_data(&constants, read_out, z, output);
    }
}

#[inline(always)]
fn argument_into<N: Number>(
    constants: &StepConstants<N::Constant>,
    z: &[N],
    output: &mut [N],
    read_out: impl Fn(N) -> N,
) {
    for (x, &z) in output.iter_mut().zip(z) {
        *x = read_out(N::mix2(constants.skip, z, constants.out, *x));
    }
}

/// Computes the network's output `f(z, t)` of one sample.
///
/// * `t`: step in `1..=T`, or 0 for the network decoder;
/// * `z`, `output`: D values;
/// * `scratch`: see [`Mlp::new`].
pub fn forward<F: Format>(
    model: &Model<'_, F>,
    t: usize,
    z: &[F::Number],
    scratch: &mut Scratch<'_, F>,
    output: &mut [F::Number],
) {
    walk::<F, false>(model, t, z, scratch, output, |_, _| {});
}

/// [`forward`] for several samples, which share each pass over the weights: every weight is loaded and unpacked once
/// for four of them.
///
/// * `z`, `output`: D values per sample, one sample after the other;
/// * `scratch`: as long as that of one sample, for each.
pub fn forward_many<F: Format>(
    model: &Model<'_, F>,
    t: usize,
    z: &[F::Number],
    scratch: &mut Scratch<'_, F>,
    output: &mut [F::Number],
) {
    walk::<F, true>(model, t, z, scratch, output, |_, _| {});
}

/// [`forward_many`] that shows each layer's input to `observe(layer, input)` before the layer runs, for calibration.
pub fn forward_observed<F: Format>(
    model: &Model<'_, F>,
    t: usize,
    z: &[F::Number],
    scratch: &mut Scratch<'_, F>,
    output: &mut [F::Number],
    observe: impl FnMut(usize, Input<'_, F>),
) {
    walk::<F, true>(model, t, z, scratch, output, observe);
}

#[inline(always)]
fn walk<F: Format, const MANY: bool>(
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
    let samples = if MANY { z.len() / model.dim().max(1) } else { 1 };
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
            outputs::<F, MANY>(&layer, t, input, work, output);
        } else {
            // The output is not written before the last layer, and has room for the prepared state.
            let work = if index == 0 { words(output) } else { &mut *work };
            hidden::<F, MANY>(&layer, t, input, work, to);
        }
        core::mem::swap(&mut from, &mut to);
    }
}

/// Runs one hidden layer; its rectifier and its residual are fused into the write of each output.
///
/// * `MANY`: there may be several samples;
/// * `input`: `columns` values per sample, one sample after the other;
/// * `output`: `rows` values per sample;
/// * `work`: see [`Format::sums`].
pub fn hidden<F: Format, const MANY: bool>(
    layer: &Layer<'_, F>,
    t: usize,
    input: Input<'_, F>,
    work: &mut [u32],
    output: &mut [F::Activation],
) {
    let skip: Option<&[F::Activation]> = match input {
        Input::Hidden(before) if layer.residual => Some(before),
        _ => None,
    };
    let finish = layer.finish(t);
    let relu = F::RECTIFIED || layer.relu;
    F::sums::<MANY>(&layer.matrix(), input, work, &mut |sample, first, sums| {
        let Some((rows, output, from)) = windows(layer, &finish, (sample, first, sums.len()), output) else {
            return;
        };
        let skip = skip.map(|skip| skip.get(from..).unwrap_or(&[]));
        // Most steps of most models have no exponent, and should not pay for one.
        if SMALL || finish.exponent != 0 {
            let mut skip = skip.map(<[_]>::iter);
            return scaled::<F, _>(rows, finish.exponent, sums, output, |row, sum| {
                F::activate(row, sum, relu, skip.as_mut().and_then(|skip| skip.next().copied()))
            });
        }
        let Some(skip) = skip else {
            let done = F::activate_many(rows, sums, None, output);
            for (slot, row, sum) in rest::<F, _>(rows, sums, output, done) {
                *slot = F::activate(row, sum, relu, None);
            }
            return;
        };
        let skip = skip.get(..sums.len()).unwrap_or(&[]);
        let done = F::activate_many(rows, sums, Some(skip), output);
        let skip = skip.get(done..).unwrap_or(&[]);
        for ((slot, row, sum), &x) in rest::<F, _>(rows, sums, output, done).zip(skip) {
            *slot = F::activate(row, sum, relu, Some(x));
        }
    });
}

/// Runs the last layer.
fn outputs<F: Format, const MANY: bool>(
    layer: &Layer<'_, F>,
    t: usize,
    input: Input<'_, F>,
    work: &mut [u32],
    output: &mut [F::Number],
) {
    let finish = layer.finish(t);
    F::sums::<MANY>(&layer.matrix(), input, work, &mut |sample, first, sums| {
        if let Some((rows, output, _)) = windows(layer, &finish, (sample, first, sums.len()), output) {
            scaled::<F, _>(rows, finish.exponent, sums, output, F::output);
        }
    });
}

/// Writes the outputs of a layer whose requantizations are scaled.
#[inline(never)]
fn scaled<F: Format, T>(
    rows: RowFinishes<'_, F>,
    exponent: i32,
    sums: &[F::Sum],
    output: &mut [T],
    mut finish: impl FnMut(RowFinish<F>, F::Sum) -> T,
) {
    for (slot, row, sum) in rest::<F, _>(rows, sums, output, 0) {
        let requant = F::scaled(row.requant, exponent);
        *slot = finish(RowFinish { requant, ..row }, sum);
    }
}

/// Returns the biases and requantizations of `count` rows from `first` on, the slots of a sample's outputs that they
/// make, and the index of the first slot among all.
#[inline(always)]
fn windows<'f, 'o, F: Format, T>(
    layer: &Layer<'_, F>,
    finish: &'f Finish<'_, F>,
    (sample, first, count): (usize, usize, usize),
    output: &'o mut [T],
) -> Option<(RowFinishes<'f, F>, &'o mut [T], usize)> {
    let from = sample.wrapping_mul(layer.rows).wrapping_add(first);
    let output = output.get_mut(from..)?.get_mut(..count)?;
    Some((finish.rows(first, count)?, output, from))
}

/// Iterates over output, row and sum, without the first `done`.
#[inline(always)]
fn rest<'a, F: Format, T>(
    (biases, requant): RowFinishes<'a, F>,
    sums: &'a [F::Sum],
    output: &'a mut [T],
    done: usize,
) -> impl Iterator<Item = (&'a mut T, RowFinish<F>, F::Sum)> {
    let rows = biases
        .get(done..)
        .unwrap_or(&[])
        .iter()
        .zip(requant.get(done..).unwrap_or(&[]));
    let slots = output.get_mut(done..).unwrap_or(&mut []).iter_mut();
    slots
        .zip(sums.get(done..).unwrap_or(&[]))
        .zip(rows)
        .map(|((slot, &sum), (&bias, &requant))| {
            let requant = F::for_kernel(requant);
            (slot, RowFinish { bias, requant }, sum)
        })
}

/// Returns the buffer as whole words, or none if it is not aligned: kernels then do without.
fn words<T: bytemuck::Pod>(buffer: &mut [T]) -> &mut [u32] {
    let per_word = size_of::<u32>().checked_div(size_of::<T>()).unwrap_or(0).max(1);
    let whole = buffer.len() - buffer.len() % per_word;
    buffer
        .get_mut(..whole)
        .and_then(|b| bytemuck::try_cast_slice_mut(b).ok())
        .unwrap_or(&mut [])
}
