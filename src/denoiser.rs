//! What the sampler and the ELBO need from a network: z_t and t in, an estimate of the data out.

use crate::number::Number;

/// Estimates the data from a noisy state. [`Mlp`](crate::mlp::Mlp) is the one that ships; anything may
/// implement it, a closed-form posterior mean included.
pub trait Denoiser {
    /// What states are made of.
    type Number: Number;

    /// Writes x̂(z_t, t).
    ///
    /// * `z`: the state, D values;
    /// * `t`: the step, `1..=T`;
    /// * `estimate`: D values, overwritten.
    fn denoise(&mut self, z: &[Self::Number], t: usize, estimate: &mut [Self::Number]);
}

impl<D: Denoiser + ?Sized> Denoiser for &mut D {
    type Number = D::Number;

    fn denoise(&mut self, z: &[Self::Number], t: usize, estimate: &mut [Self::Number]) {
        (**self).denoise(z, t, estimate);
    }
}
