//! The formats `w8a8` and `w4a8`: 8-bit activations. They differ only in their weights.

use super::id::FormatId;
use super::interface::{Format, FormatCaps, Input, RequantKind, RowFinish};
use crate::fixed::{NarrowRequant, saturate};
use crate::kernel::{self, Active, Emit, Inputs, Kernel, Matrix};
use crate::number::Q3_12;

/// An 8-bit activation: 0..=255 in the model's unit of hidden activations.
///
/// Hidden layers are rectified, so a sign would waste a bit. It is stored as `a − 128`, because cores that multiply
/// sixteen bytes at a time multiply signed ones. The row's [`NarrowRequant::offset`] adds back what that takes from its
/// sum, `128·Σ w`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(transparent)]
pub struct A8(
    /// Value less 128.
    pub i8,
);

impl A8 {
    /// Creates an activation; saturates at 0 and 255. The value must be at least −2³¹ + 128.
    #[inline(always)]
    pub fn new(value: i32) -> Self {
        Self(Active::saturate_byte(value.wrapping_sub(128)))
    }

    /// Value in 0..=255.
    #[inline(always)]
    pub const fn value(self) -> i32 {
        self.0 as i32 + 128
    }
}

impl Default for A8 {
    fn default() -> Self {
        Self::new(0)
    }
}

/// The factor in a sum: the value less 128.
impl From<A8> for i32 {
    #[inline(always)]
    fn from(a: A8) -> i32 {
        i32::from(a.0)
    }
}

/// 8-bit weights, 8-bit activations, 16 bits in and out: for cores without a long multiply, and for Helium.
///
/// Semantics: the sum `Σ w·(a − 128)` (in the first layer `Σ w·z`) is exact in 32 bits. [`NarrowRequant::apply`] adds
/// `128·Σ w` back, brings the sum to about 15 bits, adds the bias there, and multiplies once. A hidden layer's result
/// saturates at 0 and 255, which is the rectifier; a residual layer then adds its input and saturates at 255. The last
/// layer's result is Q3.12 and saturates at 16 bits. All hidden layers share one unit, which a step's exponent may
/// divide by a power of two: that changes the second shift of the first and the last layer.
#[derive(Clone, Copy, Debug)]
pub struct W8A8;

/// 4-bit weights, 8-bit activations: half the flash of [`W8A8`], with the same semantics.
///
/// A packed layer holds two weights in −8..=7 per byte, the even column's in the low half. A layer that is not packed
/// has 8-bit weights, as the first and the last usually do.
#[derive(Clone, Copy, Debug)]
pub struct W4A8;

fn inputs<'a, F: Format<Activation = A8, Number = Q3_12>>(input: Input<'a, F>) -> Inputs<'a> {
    match input {
        Input::State(z) => Inputs::Halves(bytemuck::must_cast_slice(z)),
        Input::Hidden(a) => Inputs::Bytes(bytemuck::must_cast_slice(a)),
    }
}

macro_rules! eight_bit_activations {
    ($format:ident, packs: $packs:literal) => {
        impl Format for $format {
            const ID: FormatId = FormatId::$format;
            const REQUANT: RequantKind = RequantKind::Narrow;
            const RECTIFIED: bool = true;
            const PACKS: bool = $packs;
            type Number = Q3_12;
            type Activation = A8;
            type Weight = i8;
            type Bias = i16;
            type Requant = NarrowRequant;
            type Sum = i32;
            type Work = kernel::Work;

            #[inline(always)]
            fn scaled(requant: NarrowRequant, exponent: i32) -> NarrowRequant {
                requant.scaled(exponent)
            }

            #[inline(always)]
            fn for_kernel(requant: NarrowRequant) -> NarrowRequant {
                match kernel::ZERO_POINT {
                    0 => requant,
                    // The sums are of the values themselves, and nothing has to be added to them.
                    _ => NarrowRequant { offset: 0, ..requant },
                }
            }

            fn sums<const MANY: bool>(
                matrix: &Matrix<'_>,
                input: Input<'_, Self>,
                work: &mut [u32],
                emit: &mut Emit<'_, i32>,
            ) {
                kernel::sums::<Active, FormatCaps<Self, MANY>>(matrix, inputs(input), work, emit);
            }

            #[inline(always)]
            fn activate(row: RowFinish<Self>, sum: i32, _relu: bool, skip: Option<A8>) -> A8 {
                let y = A8::new(Active::requantize(row.requant, sum, row.bias));
                match skip {
                    Some(x) => A8::new(x.value() + y.value()),
                    None => y,
                }
            }

            #[inline(always)]
            fn activate_many(
                (biases, requant): (&[i16], &[NarrowRequant]),
                sums: &[i32],
                before: Option<&[A8]>,
                output: &mut [A8],
            ) -> usize {
                let before = before.map(bytemuck::must_cast_slice);
                Active::activate(
                    sums,
                    requant,
                    biases,
                    before,
                    bytemuck::must_cast_slice_mut(output),
                )
            }

            #[inline(always)]
            fn output(row: RowFinish<Self>, sum: i32) -> Q3_12 {
                Q3_12(saturate(Active::requantize(row.requant, sum, row.bias)))
            }
        }
    };
}

eight_bit_activations!(W8A8, packs: false);
eight_bit_activations!(W4A8, packs: true);
