//! The format `f32`.

use super::id::FormatId;
use super::interface::{Format, Input, RequantKind, RowFinish};
use crate::kernel::float::dot_f32;
use crate::kernel::{Emit, Matrix};
use crate::number::Number;

/// `f32` weights and activations: the reference on the desktop, and a choice for cores with an FPU.
///
/// Semantics: `y = dot(w, x) + b`, the dot product in the fixed order of [`dot_f32`]; then the rectifier; then, in a
/// residual layer, the addition of the input. No fused multiply-add, so the bits are the same on every core.
#[derive(Clone, Copy, Debug)]
pub struct F32;

impl Format for F32 {
    const ID: FormatId = FormatId::F32;
    const REQUANT: RequantKind = RequantKind::None;
    const RECTIFIED: bool = false;
    const PACKS: bool = false;
    type Number = f32;
    type Activation = f32;
    type Weight = f32;
    type Bias = f32;
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
                emit(sample, row, &[dot_f32(weights, input)]);
            }
        }
    }

    #[inline(always)]
    fn activate(row: RowFinish<Self>, sum: f32, relu: bool, skip: Option<f32>) -> f32 {
        activate(sum + row.bias, relu, skip)
    }

    #[inline(always)]
    fn output(row: RowFinish<Self>, sum: f32) -> f32 {
        sum + row.bias
    }
}

/// Rectifies and adds the residual input, for formats whose activations have the type of the state.
#[inline(always)]
pub(super) fn activate<N: Number>(sum: N, relu: bool, skip: Option<N>) -> N {
    let y = sum.rectified(relu);
    match skip {
        Some(x) => x.plus(y),
        None => y,
    }
}
