//! The ELBO divided among the dimensions of a row: which of them make it unusual.
//!
//! Every term is a sum over dimensions, or a quadratic form `eᵀPe` of the error `e = x − x̂`. There, dimension d gets
//! `e_d (Pe)_d`. So the contributions add up to the whole; with a rotated variance some may be negative.

use crate::decoder::Decoder;
use crate::denoiser::Denoiser;
use crate::format::Format;
use crate::likelihood::{Elbo, Likelihood, RowError, TermObserver, observed_elbo, prior};
use crate::mlp::Mlp;
use crate::model::StepTable;
use crate::number::Number;
use crate::schedule::posterior;
use crate::storage::{Buffers, Storage};
use rand_core::Rng;

/// Memory of [`elbo_by_dimension`]: rows of D values each, overwritten.
pub struct DimensionBuffers<'s, N> {
    /// z_t.
    pub state: &'s mut [N],
    /// x̂(z_t, t).
    pub estimate: &'s mut [N],
    /// The result.
    pub contributions: Contributions<'s>,
}

/// Contributions of the dimensions to a negative ELBO.
pub struct Contributions<'s> {
    /// Nats of each dimension, D values.
    pub nats: &'s mut [f32],
    /// Work area, D values.
    pub directions: &'s mut [f32],
}

/// Returns [`elbo`](crate::likelihood::elbo) with the same words from the generator, and writes what each dimension
/// contributes to its total.
pub fn elbo_by_dimension<D: Denoiser, R: Rng + ?Sized>(
    table: &StepTable<'_, D::Number>,
    decoder: &Decoder<'_, D::Number>,
    denoiser: &mut D,
    x: &[D::Number],
    buffers: DimensionBuffers<'_, D::Number>,
    rng: &mut R,
) -> Elbo {
    let DimensionBuffers {
        state,
        estimate,
        mut contributions,
    } = buffers;
    contributions.nats.fill(0.0);
    let elbo = observed_elbo(table, decoder, denoiser, x, (state, estimate), rng, &mut contributions);
    spread_rounding(elbo.total(), &mut contributions);
    elbo
}

impl<N: Number> TermObserver<N> for Contributions<'_> {
    fn see_reconstruction(&mut self, decoder: &Decoder<'_, N>, x: &[N], argument: &mut [N]) {
        if decoder.levels != 0 || !decoder.network {
            for (d, nats) in self.nats.iter_mut().enumerate() {
                let one = Decoder {
                    scale: decoder.scale.get(d..=d).unwrap_or(&[]),
                    ..*decoder
                };
                if let (Some(x), Some(argument)) = (x.get(d..=d), argument.get_mut(d..=d)) {
                    *nats -= one.log_likelihood(x, argument);
                }
            }
            return;
        }
        const HALF_LN_2PI: f32 = 0.918_938_5;
        let noise = Directions {
            basis: decoder.basis,
            deviations: decoder.deviations,
            dim: argument.len(),
        };
        noise.add_square(1.0, argument, self);
        noise.add_each(self, |deviation| HALF_LN_2PI + libm::logf(deviation));
        for (nats, &scale) in self.nats.iter_mut().zip(decoder.scale) {
            *nats += libm::logf(scale);
        }
    }

    fn see_prior(&mut self, decoder: &Decoder<'_, N>, x: &[N]) {
        for (nats, x) in self.nats.iter_mut().zip(x) {
            *nats += prior(decoder, core::slice::from_ref(x));
        }
    }

    fn see_step(&mut self, table: &StepTable<'_, N>, t: usize, x: &[N], (state, estimate): (&[N], &[N])) {
        let (Some(variance), Some(c)) = (&table.reverse_variance, table.constants_at(t)) else {
            let weight = table.weight.get(t).copied().unwrap_or(0.0);
            for ((nats, x), estimate) in self.nats.iter_mut().zip(x).zip(estimate) {
                let error = x.to_f32() - estimate.to_f32();
                *nats += weight * error * error;
            }
            return;
        };
        let noise = Directions::<N> {
            basis: variance.basis,
            deviations: variance.spreads_at(t, x.len()),
            dim: x.len(),
        };
        noise.add_square(N::constant_value(c.pull) as f32, state, self);
        let gamma = |t: usize| f64::from(table.gamma.get(t).copied().unwrap_or(0.0));
        let own = posterior(gamma(t.saturating_sub(1)), gamma(t)).deviation as f32;
        noise.add_each(self, |deviation| {
            let ratio = deviation / own;
            libm::logf(ratio) + 0.5 * (1.0 / (ratio * ratio) - 1.0)
        });
    }
}

/// Standard deviations along the directions of a basis.
struct Directions<'a, N: Number> {
    /// Row-major; empty for the identity.
    basis: &'a [N::Constant],
    deviations: &'a [N::Constant],
    dim: usize,
}

impl<N: Number> Directions<'_, N> {
    fn deviation(&self, direction: usize) -> f32 {
        self.deviations
            .get(direction)
            .map_or(1.0, |&c| N::constant_value(c) as f32)
    }

    fn entry(&self, dimension: usize, direction: usize) -> f32 {
        let entry = self.basis.get(dimension * self.dim + direction);
        entry.map_or(0.0, |&u| N::constant_value(u) as f32)
    }

    /// Adds `½ e_d (Pe)_d` with `P = pull² U diag(1/deviation²) Uᵀ`.
    fn add_square(&self, pull: f32, error: &[N], to: &mut Contributions<'_>) {
        let error_at = |d: usize| error.get(d).map_or(0.0, |e| e.to_f32());
        for (j, direction) in to.directions.iter_mut().enumerate() {
            let along = match self.basis.is_empty() {
                true => error_at(j),
                false => (0..self.dim).map(|d| self.entry(d, j) * error_at(d)).sum(),
            };
            let standard = pull / self.deviation(j);
            *direction = standard * standard * along;
        }
        for (d, nats) in to.nats.iter_mut().enumerate() {
            *nats += 0.5 * error_at(d) * self.in_dimension(d, to.directions, |u| u);
        }
    }

    /// Adds a number that belongs to each direction, in the shares `U_dj²` of the dimensions.
    fn add_each(&self, to: &mut Contributions<'_>, number: impl Fn(f32) -> f32) {
        for (j, direction) in to.directions.iter_mut().enumerate() {
            *direction = number(self.deviation(j));
        }
        for (d, nats) in to.nats.iter_mut().enumerate() {
            *nats += self.in_dimension(d, to.directions, |u| u * u);
        }
    }

    /// Returns the sum of `of_directions` with the weights `weight(U_dj)`.
    fn in_dimension(&self, d: usize, of_directions: &[f32], weight: impl Fn(f32) -> f32) -> f32 {
        if self.basis.is_empty() {
            return of_directions.get(d).copied().unwrap_or(0.0);
        }
        let weighted = |(j, value): (usize, &f32)| weight(self.entry(d, j)) * value;
        of_directions.iter().enumerate().map(weighted).sum()
    }
}

/// Divides what rounding has left between the sum and the total evenly, so that the contributions add up.
fn spread_rounding(total: f32, to: &mut Contributions<'_>) {
    let sum: f32 = to.nats.iter().sum();
    let share = (total - sum) / to.nats.len().max(1) as f32;
    for nats in to.nats.iter_mut() {
        *nats += share;
    }
}

impl<F: Format, S: Storage<F>> Likelihood<'_, F, S> {
    /// Returns [`elbo_of_levels`](Self::elbo_of_levels) and writes what each dimension contributes to it.
    ///
    /// # Errors
    ///
    /// [`RowError`] if the row does not suit the model.
    pub fn elbo_of_levels_by_dimension<R: Rng + ?Sized>(
        &mut self,
        row: &[u8],
        contributions: Contributions<'_>,
        rng: &mut R,
    ) -> Result<Elbo, RowError> {
        self.take_levels(row)?;
        Ok(self.elbo_of_data_by_dimension(contributions, rng))
    }

    /// Returns [`elbo_of_values`](Self::elbo_of_values) and writes what each dimension contributes to it.
    ///
    /// # Errors
    ///
    /// [`RowError`] if the row does not suit the model.
    pub fn elbo_of_values_by_dimension<R: Rng + ?Sized>(
        &mut self,
        row: &[f32],
        contributions: Contributions<'_>,
        rng: &mut R,
    ) -> Result<Elbo, RowError> {
        self.take_values(row)?;
        Ok(self.elbo_of_data_by_dimension(contributions, rng))
    }

    fn elbo_of_data_by_dimension<R: Rng + ?Sized>(&mut self, contributions: Contributions<'_>, rng: &mut R) -> Elbo {
        let model = self.model;
        let Buffers {
            state,
            estimate,
            data,
            scratch,
            ..
        } = self.storage.buffers(model.dim());
        let mut denoiser = Mlp::new(&model, scratch);
        let buffers = DimensionBuffers {
            state,
            estimate,
            contributions,
        };
        elbo_by_dimension(&model.step_table(), &model.decoder(), &mut denoiser, data, buffers, rng)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An orthogonal basis with nothing zero: rows are dimensions.
    const BASIS: [f32; 9] = [
        2.0 / 3.0,
        -1.0 / 3.0,
        2.0 / 3.0,
        2.0 / 3.0,
        2.0 / 3.0,
        -1.0 / 3.0,
        -1.0 / 3.0,
        2.0 / 3.0,
        2.0 / 3.0,
    ];

    #[test]
    fn shares_of_a_rotated_form_add_up() {
        let error = [0.3, -1.2, 0.7];
        let noise = Directions::<f32> {
            basis: &BASIS,
            deviations: &[0.5, 1.5, 2.0],
            dim: 3,
        };
        let (mut nats, mut directions) = ([0.0; 3], [0.0; 3]);
        let mut to = Contributions {
            nats: &mut nats,
            directions: &mut directions,
        };
        noise.add_square(1.7, &error, &mut to);
        let square: f32 = to.nats.iter().sum();
        let along = |j: usize| (0..3).map(|d| BASIS[3 * d + j] * error[d]).sum::<f32>();
        let whole: f32 = (0..3)
            .map(|j| 0.5 * (1.7 * along(j) / noise.deviation(j)).powi(2))
            .sum();
        assert!((square - whole).abs() < 1e-5 * whole, "{square} {whole}");
        to.nats.fill(0.0);
        noise.add_each(&mut to, |deviation| deviation);
        let each: f32 = to.nats.iter().sum();
        assert!((each - 4.0).abs() < 1e-5, "{each}");
        // The first direction has the squares 4/9, 4/9 and 1/9 of the dimensions.
        let first = (4.0 * 0.5 + 1.0 * 1.5 + 4.0 * 2.0) / 9.0;
        assert!((to.nats[0] - first).abs() < 1e-6, "{:?}", to.nats);
    }
}
