//! The trait that connects a network to the sampler and the ELBO: z_t and t in, an estimate of the data out.

use crate::number::Number;

/// Estimator of the data from a noisy state. [`Mlp`](crate::mlp::Mlp) is the one that ships; anything else may
/// implement it too, for instance a closed-form posterior mean.
///
/// ```
/// use ancestral::{Denoiser, Number, Q3_12};
///
/// /// Knows that all data is zero.
/// struct Zero;
///
/// impl Denoiser for Zero {
///     type Number = Q3_12;
///
///     fn denoise(&mut self, _z: &[Q3_12], _t: usize, estimate: &mut [Q3_12]) {
///         estimate.fill(Q3_12::default());
///     }
/// }
///
/// let mut estimate = [Q3_12::from_f32(1.0)];
/// Zero.denoise(&[Q3_12::from_f32(0.3)], 1, &mut estimate);
/// assert_eq!(estimate[0].to_f32(), 0.0);
/// ```
pub trait Denoiser {
    /// Number type of states and estimates.
    type Number: Number;

    /// Writes x̂(z_t, t).
    ///
    /// * `z`: the state, D values;
    /// * `t`: the step, `1..=T`;
    /// * `estimate`: D values, overwritten.
    fn denoise(&mut self, z: &[Self::Number], t: usize, estimate: &mut [Self::Number]);

    /// Writes the argument of the decoder p(x | z_0), see [`Decoder`](crate::decoder::Decoder): by default z_0 itself,
    /// that of the factorized decoder.
    ///
    /// * `z`: z_0, D values;
    /// * `argument`: D values, overwritten.
    fn decode(&mut self, z: &[Self::Number], argument: &mut [Self::Number]) {
        copy_state(z, argument);
    }
}

/// Writes z_0 as the argument of the factorized decoder.
pub(crate) fn copy_state<N: Number>(z: &[N], argument: &mut [N]) {
    for (to, &from) in argument.iter_mut().zip(z) {
        *to = from;
    }
}

impl<D: Denoiser + ?Sized> Denoiser for &mut D {
    type Number = D::Number;

    fn denoise(&mut self, z: &[Self::Number], t: usize, estimate: &mut [Self::Number]) {
        (**self).denoise(z, t, estimate);
    }

    fn decode(&mut self, z: &[Self::Number], argument: &mut [Self::Number]) {
        (**self).decode(z, argument);
    }
}
