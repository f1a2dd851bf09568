//! A reverse variance that differs between dimensions or directions.
//!
//! `p(z_s | z_t) = N(keep·z_t + pull·x̂, U diag(v_t) Uᵀ)`. The best v for a given x̂ is the posterior's own variance
//! plus what the error of x̂ adds, `v_td = σ_s² c · (1 + (SNR_s − SNR_t)·⟨(Uᵀ(x − x̂))_d²⟩)`. The step then costs
//! `½ ln(1 + 2ℓ)` where it costs ℓ with the posterior's variance. With few steps that is most of the difference. U is
//! orthogonal; q is isotropic and does not depend on it.

use crate::number::Number;
use rand_core::Rng;

/// Standard deviations per step and dimension of a basis.
#[derive(Clone, Copy, Debug)]
pub struct ReverseVariance<'a, N: Number> {
    /// Standard deviations, row t − 1 at step t: `T × D`.
    pub spreads: &'a [N::Constant],
    /// The basis U, row-major, `D × D`: column d is the direction of spread d. Empty for the identity.
    pub basis: &'a [N::Constant],
    /// Part of each step's cost that does not depend on the data: `½ Σ_d [ln(v_d/s²) + s²/v_d − 1]` nats, where s² is
    /// the posterior's own variance. `T` values.
    pub nats: &'a [f32],
}

impl<N: Number> ReverseVariance<'_, N> {
    /// Returns the standard deviations of step t in `1..=T`.
    pub fn spreads_at(&self, t: usize, dim: usize) -> &[N::Constant] {
        let first = t.wrapping_sub(1).wrapping_mul(dim);
        self.spreads.get(first..).and_then(|s| s.get(..dim)).unwrap_or(&[])
    }

    /// Adds noise of step t to `state`, D values. Takes D words from the generator.
    ///
    /// * `noise`: D values, overwritten: the noise in the basis.
    pub fn add_noise<R: Rng + ?Sized>(&self, t: usize, state: &mut [N], noise: &mut [N], rng: &mut R) {
        add_noise_along(self.spreads_at(t, state.len()), self.basis, state, noise, rng);
    }

    /// Returns the cost of step t in nats: `½ Σ_d (pull·e_d/spread_d)²` and the part that does not depend on the data.
    ///
    /// * `error`: x − x̂, D values.
    pub fn step_cost(&self, t: usize, pull: N::Constant, error: &[N]) -> f32 {
        let pull = N::constant_value(pull) as f32;
        let sum = standard_square(self.spreads_at(t, error.len()), self.basis, pull, error);
        0.5 * sum + self.nats.get(t.wrapping_sub(1)).copied().unwrap_or(0.0)
    }
}

/// Adds noise with a standard deviation per direction of a basis to `values`, D of them. Takes D words from the
/// generator.
///
/// * `basis`: row-major, `D × D`, or empty for the identity;
/// * `noise`: D values, overwritten: the noise in the basis.
pub(crate) fn add_noise_along<N: Number, R: Rng + ?Sized>(
    deviations: &[N::Constant],
    basis: &[N::Constant],
    values: &mut [N],
    noise: &mut [N],
    rng: &mut R,
) {
    for (n, &deviation) in noise.iter_mut().zip(deviations) {
        *n = N::scale(deviation, N::normal(rng));
    }
    if basis.is_empty() {
        for (z, &n) in values.iter_mut().zip(noise.iter()) {
            *z = z.plus(n);
        }
        return;
    }
    let dim = values.len().max(1);
    for (z, row) in values.iter_mut().zip(basis.chunks_exact(dim)) {
        *z = z.plus(N::dot(row.iter().copied(), noise));
    }
}

/// Returns `Σ_d (pull·e_d/deviation_d)²`, with e_d the components of `error` in a basis.
pub(crate) fn standard_square<N: Number>(
    deviations: &[N::Constant],
    basis: &[N::Constant],
    pull: f32,
    error: &[N],
) -> f32 {
    let mut sum = 0.0f32;
    for (d, &deviation) in deviations.iter().enumerate() {
        let e = project(basis, d, error).to_f32();
        let standard = pull * e / (N::constant_value(deviation) as f32);
        sum += standard * standard;
    }
    sum
}

/// Returns component d of a vector in a basis.
fn project<N: Number>(basis: &[N::Constant], d: usize, vector: &[N]) -> N {
    if basis.is_empty() {
        return vector.get(d).copied().unwrap_or_default();
    }
    let column = basis.iter().skip(d).step_by(vector.len().max(1));
    N::dot(column.copied(), vector)
}
