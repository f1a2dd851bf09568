//! Operands and results of a row.

/// Operands: the data, the noise and the network's output of a row.
#[derive(Clone, Copy)]
pub(in crate::fused) struct Row<'a> {
    pub x: &'a [f32],
    pub noise: &'a [f32],
    pub output: &'a [f32],
}

/// Results for a row: one number per dimension, and its derivatives.
pub(in crate::fused) struct RowResults<'a> {
    /// The error √SNR·(x̂ − x), or nats.
    pub value: &'a mut [f32],
    /// Derivative by the network's output.
    pub by_output: &'a mut [f32],
    /// Derivative by γ, where x, noise and output stay as they are.
    pub by_gamma: &'a mut [f32],
}
