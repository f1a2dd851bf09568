//! The format `w8a16`.

use super::finish::activate;
use super::id::FormatId;
use super::interface::{Format, FormatCaps, Input, RequantKind, RowFinish};
use crate::fixed::WideRequant;
use crate::kernel::{self, Active, Emit, Inputs, Kernel, Matrix};
use crate::number::Q3_12;

/// 8-bit weights, 16-bit activations: the default.
///
/// Semantics: the sum `Σ w·a` is exact in 32 bits. One requantization per row ([`WideRequant::apply`]) brings it to the
/// layer's output unit, adds the bias, which has that unit, and saturates at 16 bits. Then follow the rectifier and, in
/// a residual layer, a saturating addition of the input. There are no zero points. The network's input and output are
/// Q3.12. Hidden layers share one unit, which a step's exponent may divide by a power of two: only the shifts of the
/// first and the last layer change. Sums of integers do not depend on their order, so every kernel on every core gives
/// these bits.
#[derive(Clone, Copy, Debug)]
pub struct W8A16;

impl Format for W8A16 {
    const ID: FormatId = FormatId::W8A16;
    const REQUANT: RequantKind = RequantKind::Wide;
    const RECTIFIED: bool = false;
    const PACKS: bool = false;
    type Number = Q3_12;
    type Activation = Q3_12;
    type Weight = i8;
    type Bias = i16;
    type Requant = WideRequant;
    type Sum = i32;
    type Work = kernel::Work;

    #[inline(always)]
    fn scaled(requant: WideRequant, exponent: i32) -> WideRequant {
        requant.scaled(exponent)
    }

    #[inline(always)]
    fn for_kernel(requant: WideRequant) -> WideRequant {
        requant
    }

    fn sums<const MANY: bool>(matrix: &Matrix<'_>, input: Input<'_, Self>, work: &mut [u32], emit: &mut Emit<'_, i32>) {
        let (Input::State(input) | Input::Hidden(input)) = input;
        let inputs = Inputs::Halves(bytemuck::must_cast_slice(input));
        kernel::sums::<Active, FormatCaps<Self, MANY>>(matrix, inputs, work, emit);
    }

    #[inline(always)]
    fn activate(row: RowFinish<Self>, sum: i32, relu: bool, skip: Option<Q3_12>) -> Q3_12 {
        activate(Self::output(row, sum), relu, skip)
    }

    #[inline(always)]
    fn output(row: RowFinish<Self>, sum: i32) -> Q3_12 {
        Q3_12(Active::requantize_wide(row.requant, sum, row.bias))
    }
}
