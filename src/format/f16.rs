//! The format `f16`.

use super::f32::activate;
use super::id::FormatId;
use super::interface::{Format, Input, RequantKind, RowFinish};
use crate::kernel::float::{dot_f16, widen};
use crate::kernel::{Emit, Matrix};
use half::f16;

/// `f16` weights and biases, `f32` arithmetic: half the flash of `f32`, and no calibration.
///
/// Semantics: those of [`F32`](crate::F32) with every weight and bias widened exactly. So the bits are those of the
/// `f32` network with the rounded weights, on every core. Cores with an FPU widen in hardware (`vcvtb.f32.f16`).
#[derive(Clone, Copy, Debug)]
pub struct F16;

impl Format for F16 {
    const ID: FormatId = FormatId::F16;
    const REQUANT: RequantKind = RequantKind::None;
    const RECTIFIED: bool = false;
    const PACKS: bool = false;
    type Number = f32;
    type Activation = f32;
    type Weight = f16;
    type Bias = f16;
    type Requant = ();
    type Sum = f32;
    type Work = ();

    fn scaled(_requant: (), _exponent: i32) {}

    fn for_kernel(_requant: ()) {}

    fn sums<const MANY: bool>(
        matrix: &Matrix<'_, Self::Weight>,
        input: Input<'_, Self>,
        _work: &mut [u32],
        emit: &mut Emit<'_, f32>,
    ) {
        let (Input::State(input) | Input::Hidden(input)) = input;
        for (row, weights) in matrix.rows().enumerate() {
            for (sample, input) in input.chunks_exact(matrix.columns.max(1)).enumerate() {
                emit(sample, row, &[dot_f16(weights, input)]);
            }
        }
    }

    #[inline(always)]
    fn activate(row: RowFinish<Self>, sum: f32, relu: bool, skip: Option<f32>) -> f32 {
        activate(sum + widen(row.bias.to_bits()), relu, skip)
    }

    #[inline(always)]
    fn output(row: RowFinish<Self>, sum: f32) -> f32 {
        sum + widen(row.bias.to_bits())
    }
}
