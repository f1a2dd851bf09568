use crate::format::{Format, FormatId};
use crate::kernel::portable::dot_w8a16;
use crate::model::Layer;
use crate::number::Q3_12;

/// 8-bit weights, 16-bit activations: the default.
///
/// Semantics: the accumulator is the exact 32-bit sum `Σ w·a + b`; one requantisation per row
/// ([`Requant::apply`](crate::fixed::Requant::apply)) brings it to the layer's output unit and saturates at 16 bits; then the
/// rectifier; then, in a residual layer, a saturating addition of the input. Symmetric: no zero points.
/// The network's input and output are Q3.12; hidden layers share one unit, which only the exporter needs to know. Sums of integers do not
/// depend on their order, so every kernel on every core gives these bits.
#[derive(Clone, Copy, Debug)]
pub struct W8A16;

impl Format for W8A16 {
    const ID: FormatId = FormatId::W8A16;
    const REQUANTISED: bool = true;
    type Number = Q3_12;
    type Weight = i8;
    type Bias = i32;

    fn linear(layer: &Layer<'_, Self>, bias: &[i32], input: &[Q3_12], mut emit: impl FnMut(usize, Q3_12)) {
        let rows = layer.weights.chunks_exact(layer.columns.max(1));
        for (row, ((weights, bias), requant)) in rows.zip(bias).zip(layer.requant).enumerate() {
            let sum = dot_w8a16(weights, input).wrapping_add(*bias);
            emit(row, Q3_12(requant.apply(sum)));
        }
    }
}
