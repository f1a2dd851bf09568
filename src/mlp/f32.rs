use crate::format::{Format, FormatId};
use crate::kernel::portable::dot_f32;
use crate::model::Layer;

/// `f32` weights and activations: the reference on the desktop, and a choice for cores with an FPU.
///
/// Semantics: `y = dot(w, x) + b`, the dot product in the fixed order of
/// [`dot_f32`]; no fused multiply-add, so the bits are the same on every core.
#[derive(Clone, Copy, Debug)]
pub struct F32;

impl Format for F32 {
    const ID: FormatId = FormatId::F32;
    const REQUANTISED: bool = false;
    type Number = f32;
    type Weight = f32;
    type Bias = f32;

    fn linear(layer: &Layer<'_, Self>, bias: &[f32], input: &[f32], mut emit: impl FnMut(usize, f32)) {
        let rows = layer.weights.chunks_exact(layer.columns.max(1));
        for (row, (weights, bias)) in rows.zip(bias).enumerate() {
            emit(row, dot_f32(weights, input) + bias);
        }
    }
}
