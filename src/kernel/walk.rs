//! The walk over a matrix, once for every kernel: samples in groups, rows in blocks.

use super::caps::{AllCaps, KernelCaps};
use super::inputs::Inputs;
use super::interface::{BLOCK, Emit, GROUP, Kernel, block_rows};
use super::matrix::Matrix;
use super::portable;

/// The sums of a block. Aligned as the sampler's buffers are: one function then clears both.
#[repr(align(8))]
struct Sums([i32; BLOCK]);

/// Returns whether a kernel takes a matrix of this shape with inputs of this type itself, instead of leaving it to the
/// portable one.
pub fn takes<K: Kernel>(matrix: &Matrix<'_>, inputs: Inputs<'_>, work: &mut [u32]) -> bool {
    K::prepare::<AllCaps>(matrix, inputs, 1, work).is_some()
}

/// Computes the sums `Σ_c weight[row][c]·input[c]` of every row and sample: `emit(sample, row, sums)` receives those of
/// some rows of one sample, from `row` on. For bytes they are `Σ_c weight[row][c]·(input[c] + ZERO_POINT)`, see
/// [`Kernel::ZERO_POINT`].
///
/// * `inputs`: `columns` values per sample; those of the first sample alone if the capabilities exclude several;
/// * `work`: overwritten; one [`Kernel::Work`] per input is enough. With less, the portable kernel takes over.
///
/// Every sum must fit 32 bits, which the exporter proves.
// Compiled once for all layers.
#[inline(never)]
pub fn sums<K: Kernel, P: KernelCaps>(
    matrix: &Matrix<'_>,
    inputs: Inputs<'_>,
    work: &mut [u32],
    emit: &mut Emit<'_, i32>,
) {
    let columns = matrix.columns.max(1);
    let group = if P::MANY { K::samples::<P>(matrix, inputs) } else { 1 };
    let mut sums = Sums([0; BLOCK]);
    let mut sample = 0;
    loop {
        let first = columns.wrapping_mul(sample);
        let several = P::MANY && inputs.len().saturating_sub(first) / GROUP >= columns;
        let samples = if several { group } else { 1 };
        let Some(now) = inputs.part::<P>(first, columns.wrapping_mul(samples)) else {
            return;
        };
        let prepared = K::prepare::<P>(matrix, now, samples, work);
        let block = block_rows(samples);
        let mut row = 0;
        while row < matrix.rows {
            let count = block.min(matrix.rows - row);
            let weights = matrix.block(row, count);
            match &prepared {
                Some(prepared) => K::block::<P>(matrix, prepared, weights, count, samples, &mut sums.0),
                None => portable::block::<K, P>(matrix, now, weights, samples, &mut sums.0),
            }
            let mut rest: &[i32] = &sums.0;
            for index in 0..samples {
                let (of_sample, others) = rest.split_at_checked(block).unwrap_or((rest, &[]));
                emit(sample + index, row, of_sample.get(..count).unwrap_or(&[]));
                rest = others;
            }
            row += count;
        }
        sample += samples;
        if !P::MANY {
            return;
        }
    }
}
