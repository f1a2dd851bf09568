//! The formats with floating-point activations, which differ in their weights alone.

use super::finish::activate;
use super::id::FormatId;
use super::interface::{Format, Input, RequantKind, RowFinish};
use crate::kernel::float::{dot_f16, dot_f32, widen};
use crate::kernel::{Emit, Matrix};
use half::f16;

/// `f32` weights and activations: the reference on the desktop, and a choice for cores with an FPU.
///
/// Semantics: `y = dot(w, x) + b`, the dot product in the fixed order of [`dot_f32`]; then the rectifier; then, in a
/// residual layer, the addition of the input. No fused multiply-add, so the bits are the same on every core.
#[derive(Clone, Copy, Debug)]
pub struct F32;

/// `f16` weights and biases, `f32` arithmetic: half the flash of `f32`, and no calibration.
///
/// Semantics: those of [`F32`](crate::F32) with every weight and bias widened exactly. So the bits are those of the
/// `f32` network with the rounded weights, on every core. Cores with an FPU widen in hardware (`vcvtb.f32.f16`).
#[derive(Clone, Copy, Debug)]
pub struct F16;

/// Implements [`Format`]: the type of weights and biases, their dot product with an input, and a bias as `f32`.
macro_rules! float_format {
    ($format:ident, weights: $weight:ty, dot: $dot:ident, widen: $widen:expr) => {
        impl Format for $format {
            const ID: FormatId = FormatId::$format;
            const REQUANT: RequantKind = RequantKind::None;
            const RECTIFIED: bool = false;
            const PACKS: bool = false;
            type Number = f32;
            type Activation = f32;
            type Weight = $weight;
            type Bias = $weight;
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
                        emit(sample, row, &[$dot(weights, input)]);
                    }
                }
            }

            #[inline(always)]
            fn activate(row: RowFinish<Self>, sum: f32, relu: bool, skip: Option<f32>) -> f32 {
                activate(sum + $widen(row.bias), relu, skip)
            }

            #[inline(always)]
            fn output(row: RowFinish<Self>, sum: f32) -> f32 {
                sum + $widen(row.bias)
            }
        }
    };
}

float_format!(F32, weights: f32, dot: dot_f32, widen: core::convert::identity);
float_format!(F16, weights: f16, dot: dot_f16, widen: widen_bias);

/// Returns a bias in half precision as `f32`, exactly.
#[inline(always)]
fn widen_bias(bias: f16) -> f32 {
    widen(bias.to_bits())
}
