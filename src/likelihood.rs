//! The ELBO of data, in nats: a measure of how well the model explains a row, and so of how unusual the row is.
//!
//! Two forms that agree in expectation (Kingma et al. 2021, section 3 and appendix E):
//! * [`elbo`]: reconstruction + prior + one KL divergence per step, each exact given its noise. All T steps are
//!   summed. Low variance: the one to use.
//! * [`elbo_of_chain`]: `ln p(x, z_0..z_T) − ln q(z_0..z_T | x)` over one sampled chain. High variance: the definition,
//!   kept to check the other.

use crate::decoder::Decoder;
use crate::denoiser::Denoiser;
use crate::format::Format;
use crate::mlp::Mlp;
use crate::model::{Model, ModelError, StaticModel, StepTable};
use crate::number::Number;
use crate::schedule::{chain, kernel, posterior, prior_nats_from};
use crate::storage::{Buffers, Inline, Storage};
use rand_core::Rng;

/// The negative ELBO of one row, by term, in nats.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Elbo {
    /// `−ln p(x | z_0)`.
    pub reconstruction: f32,
    /// `D_KL(q(z_T | x) ‖ N(0, I))`.
    pub prior: f32,
    /// `Σ_t D_KL(q(z_s | z_t, x) ‖ p(z_s | z_t))`.
    pub diffusion: f32,
}

impl Elbo {
    /// The negative ELBO: an upper bound on `−ln p(x)`. The higher, the more unusual the row.
    pub fn total(&self) -> f32 {
        self.reconstruction + self.prior + self.diffusion
    }
}

/// Draws z_t ~ q(z_t | x) for `t` in `0..=T` into `z`; D values each. Takes D words from the generator.
pub fn diffuse<N: Number, R: Rng + ?Sized>(table: &StepTable<'_, N>, t: usize, x: &[N], z: &mut [N], rng: &mut R) {
    let Some(c) = table.constants_at(t) else { return };
    for (z, &x) in z.iter_mut().zip(x) {
        *z = N::mix2(c.alpha, x, c.sigma, N::normal(rng));
    }
}

/// Returns the three-term negative ELBO of `x` with one draw of the noise per term, summed over every t.
///
/// * `x`: the data in model units, D values;
/// * `state`, `estimate`: D values each, overwritten.
///
/// Takes `D·(T + 1)` words from the generator.
pub fn elbo<D: Denoiser, R: Rng + ?Sized>(
    table: &StepTable<'_, D::Number>,
    decoder: &Decoder<'_, D::Number>,
    denoiser: &mut D,
    x: &[D::Number],
    state: &mut [D::Number],
    estimate: &mut [D::Number],
    rng: &mut R,
) -> Elbo {
    observed_elbo(table, decoder, denoiser, x, (state, estimate), rng, &mut ())
}

/// Observer of the terms of an ELBO while it is computed.
pub(crate) trait TermObserver<N: Number> {
    /// * `argument`: as [`Decoder::log_likelihood`] has left it.
    fn see_reconstruction(&mut self, decoder: &Decoder<'_, N>, x: &[N], argument: &mut [N]);

    /// Told after the prior term.
    fn see_prior(&mut self, decoder: &Decoder<'_, N>, x: &[N]);

    /// * `buffers`: z_t and x̂, as [`step_nats`] has left them.
    fn see_step(&mut self, table: &StepTable<'_, N>, t: usize, x: &[N], buffers: (&[N], &[N]));
}

impl<N: Number> TermObserver<N> for () {
    fn see_reconstruction(&mut self, _: &Decoder<'_, N>, _: &[N], _: &mut [N]) {}

    fn see_prior(&mut self, _: &Decoder<'_, N>, _: &[N]) {}

    fn see_step(&mut self, _: &StepTable<'_, N>, _: usize, _: &[N], _: (&[N], &[N])) {}
}

/// Returns [`elbo`], and tells an observer of each term.
pub(crate) fn observed_elbo<D: Denoiser, R: Rng + ?Sized>(
    table: &StepTable<'_, D::Number>,
    decoder: &Decoder<'_, D::Number>,
    denoiser: &mut D,
    x: &[D::Number],
    (state, estimate): (&mut [D::Number], &mut [D::Number]),
    rng: &mut R,
    observer: &mut impl TermObserver<D::Number>,
) -> Elbo {
    diffuse(table, 0, x, state, rng);
    denoiser.decode(state, estimate);
    let reconstruction = -decoder.log_likelihood(x, estimate);
    observer.see_reconstruction(decoder, x, estimate);
    let prior = prior(decoder, x);
    observer.see_prior(decoder, x);
    let mut diffusion = 0.0;
    for t in 1..=table.steps() {
        diffusion += step_nats(table, denoiser, t, x, state, estimate, rng);
        observer.see_step(table, t, x, (state, estimate));
    }
    Elbo {
        reconstruction,
        prior,
        diffusion,
    }
}

/// Returns the part of step `t` in `1..=T` of the diffusion term with one draw of the noise. It is
/// `½ (SNR_s − SNR_t) ‖x − x̂(z_t, t)‖²` nats with the posterior's own variance, else
/// [`ReverseVariance::step_cost`](crate::reverse_variance::ReverseVariance::step_cost). Arguments as for [`elbo`].
pub fn step_nats<D: Denoiser, R: Rng + ?Sized>(
    table: &StepTable<'_, D::Number>,
    denoiser: &mut D,
    t: usize,
    x: &[D::Number],
    state: &mut [D::Number],
    estimate: &mut [D::Number],
    rng: &mut R,
) -> f32 {
    diffuse(table, t, x, state, rng);
    denoiser.denoise(state, table.time(t), estimate);
    if let (Some(variance), Some(c)) = (&table.reverse_variance, table.constants_at(t)) {
        // z_t is no longer needed: its place takes the error.
        for (e, (&x, &x_hat)) in state.iter_mut().zip(x.iter().zip(estimate.iter())) {
            *e = x.minus(x_hat);
        }
        return variance.step_cost(t, c.pull, state);
    }
    let weight = table.weight.get(t).copied().unwrap_or(0.0);
    weight * D::Number::squared_distance(x, estimate)
}

/// `½ Σ_d [α_T² (x_d² − 1) + softplus(−γ_T)]` nats, see [`prior_nats`](crate::schedule::prior_nats).
pub(crate) fn prior<N: Number>(decoder: &Decoder<'_, N>, x: &[N]) -> f32 {
    let excess = x.iter().fold(0.0f32, |sum, x| sum + (x.to_f32() * x.to_f32() - 1.0));
    prior_nats_from(decoder.last_alpha_squared, decoder.last_log_variance, excess, x.len())
}

/// Memory of [`elbo_of_chain`]: rows of D values each, overwritten.
pub struct ChainBuffers<'s, N> {
    /// z_t.
    pub state: &'s mut [N],
    /// z_s.
    pub previous: &'s mut [N],
    /// x̂(z_t, t).
    pub estimate: &'s mut [N],
}

/// Returns `−(ln p(x, z_0..z_T) − ln q(z_0..z_T | x))` in nats over one chain drawn forward, `z_0 ~ q(z_0 | x)`,
/// `z_t ~ q(z_t | z_s)`. Its expectation is that of [`elbo`]'s total; its variance is far larger.
///
/// The densities are computed in `f64` from the states as they are, rounding included.
pub fn elbo_of_chain<D: Denoiser, R: Rng + ?Sized>(
    table: &StepTable<'_, D::Number>,
    decoder: &Decoder<'_, D::Number>,
    denoiser: &mut D,
    x: &[D::Number],
    buffers: ChainBuffers<'_, D::Number>,
    rng: &mut R,
) -> f64 {
    let ChainBuffers {
        state,
        previous,
        estimate,
    } = buffers;
    let gamma = |t: usize| f64::from(table.gamma.get(t).copied().unwrap_or(0.0));
    let wide = |n: &D::Number| f64::from(n.to_f32());

    diffuse(table, 0, x, state, rng);
    denoiser.decode(state, estimate);
    let mut log_ratio = f64::from(decoder.log_likelihood(x, estimate)); // ln p − ln q, growing
    let first = kernel(gamma(0));
    for (z, x) in state.iter().zip(x) {
        log_ratio -= log_normal(wide(z), first.scale * wide(x), first.deviation);
    }
    for t in 1..=table.steps() {
        let forward = chain(gamma(t - 1), gamma(t));
        for (s, z) in previous.iter_mut().zip(state.iter_mut()) {
            *s = *z;
            let noise = wide(&D::Number::normal(rng));
            *z = D::Number::from_f32((forward.scale * wide(s) + forward.deviation * noise) as f32);
            log_ratio -= log_normal(wide(z), forward.scale * wide(s), forward.deviation);
        }
        denoiser.denoise(state, table.time(t), estimate);
        let reverse = posterior(gamma(t - 1), gamma(t));
        let excess = |i: usize| {
            let entry = |values: &[D::Number]| values.get(i).map_or(0.0, wide);
            entry(previous) - reverse.keep * entry(state) - reverse.pull * entry(estimate)
        };
        let dim = x.len();
        for d in 0..dim {
            log_ratio += match &table.reverse_variance {
                None => log_normal(excess(d), 0.0, reverse.deviation),
                Some(variance) => {
                    let deviation = variance.spreads_at(t, dim).get(d).copied().unwrap_or_default();
                    let along = if variance.basis.is_empty() {
                        excess(d)
                    } else {
                        let column = variance.basis.iter().skip(d).step_by(dim).enumerate();
                        column.map(|(i, &u)| D::Number::constant_value(u) * excess(i)).sum()
                    };
                    log_normal(along, 0.0, D::Number::constant_value(deviation))
                }
            };
        }
    }
    for z in state.iter() {
        log_ratio += log_normal(wide(z), 0.0, 1.0);
    }
    -log_ratio
}

/// `ln N(value; mean, deviation²)`.
fn log_normal(value: f64, mean: f64, deviation: f64) -> f64 {
    const HALF_LN_2PI: f64 = 0.918_938_533_204_672_7;
    let standard = (value - mean) / deviation;
    -0.5 * standard * standard - libm::log(deviation) - HALF_LN_2PI
}

/// Scores data with a model. All memory is inside (`S`).
///
/// ```
/// # use ancestral::{Likelihood, Sampler, W8A16};
/// # use rand_xoshiro::{Xoshiro128PlusPlus, rand_core::SeedableRng};
/// # ancestral::include_model!(DIGITS: W8A16 = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-t64-w8a16.vdm"));
/// let mut rng = Xoshiro128PlusPlus::seed_from_u64(7);
/// let mut likelihood = Likelihood::new(&DIGITS);
/// let digit = Sampler::new(&DIGITS).sample(&mut rng).to_vec();
/// let usual = likelihood.elbo_of_levels(&digit, &mut rng).unwrap().total();
/// let checkerboard: Vec<u8> = (0..64).map(|i| 16 * ((i + i / 8) % 2)).collect();
/// let unusual = likelihood.elbo_of_levels(&checkerboard, &mut rng).unwrap().total();
/// assert!(unusual > usual + 100.0);
/// ```
pub struct Likelihood<'m, F: Format, S> {
    pub(crate) model: Model<'m, F>,
    pub(crate) storage: S,
}

/// Reason why a row cannot be scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RowError {
    /// The row has another number of values than the model has dimensions.
    Dimension {
        /// Number of values in the row.
        found: usize,
        /// Number of dimensions of the model.
        expected: usize,
    },
    /// A value is above the highest level.
    Level {
        /// Index in the row.
        index: usize,
        /// The value.
        found: u8,
        /// The highest level.
        last: u8,
    },
    /// A value is infinite or NaN.
    NotFinite {
        /// Index in the row.
        index: usize,
    },
    /// Levels were given to a model of continuous data, or values to a model of levels.
    Decoder,
    /// The model's steps have less noise than the posterior: it was made for samples only, and has no ELBO.
    SamplesOnly,
}

impl core::fmt::Display for RowError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Dimension { found, expected } => {
                write!(f, "the row has {found} values, the model {expected} dimensions")
            }
            Self::Level { index, found, last } => {
                write!(
                    f,
                    "value {index} of the row is {found}, above the model's highest level {last}"
                )
            }
            Self::NotFinite { index } => write!(f, "value {index} of the row is not a finite number"),
            Self::SamplesOnly => {
                f.write_str("this model only draws samples: its steps have less noise than an ELBO allows; score with the model that it was made from")
            }
            Self::Decoder => f.write_str(
                "wrong call for this model: use elbo_of_levels for discretized data, elbo_of_values for continuous data",
            ),
        }
    }
}

impl core::error::Error for RowError {}

impl<F: Format, const DIM: usize, const WIDTH: usize> Likelihood<'static, F, Inline<F, DIM, WIDTH>> {
    /// Creates a scorer for a model of [`include_model!`](crate::include_model): the sizes come from its type.
    pub fn new(model: &StaticModel<F, DIM, WIDTH>) -> Self {
        Self {
            model: *model.model(),
            storage: Inline::default(),
        }
    }
}

impl<'m, F: Format, S: Storage<F>> Likelihood<'m, F, S> {
    /// Creates a scorer for a model parsed at run time.
    ///
    /// * `storage`: large enough for the model.
    ///
    /// # Errors
    ///
    /// [`ModelError::Capacity`] if the storage is too small.
    pub fn with_storage(model: &Model<'m, F>, storage: S) -> Result<Self, ModelError> {
        model.fits(storage.dim(), storage.width())?;
        Ok(Self { model: *model, storage })
    }

    /// Returns the negative ELBO of a row of discretized data, with one draw of the noise for each t.
    ///
    /// * `row`: D levels.
    ///
    /// # Errors
    ///
    /// [`RowError`] if the row does not suit the model.
    pub fn elbo_of_levels<R: Rng + ?Sized>(&mut self, row: &[u8], rng: &mut R) -> Result<Elbo, RowError> {
        self.take_levels(row)?;
        Ok(self.elbo_of_data(rng))
    }

    /// Takes a row of levels as the data to score.
    pub(crate) fn take_levels(&mut self, row: &[u8]) -> Result<(), RowError> {
        let decoder = self.model.decoder();
        if decoder.levels == 0 {
            return Err(RowError::Decoder);
        }
        self.check(row.len())?;
        let last = decoder.last_level();
        if let Some((index, &found)) = row.iter().enumerate().find(|&(_, &level)| level > last) {
            return Err(RowError::Level { index, found, last });
        }
        let data = self.storage.buffers(self.model.dim()).data;
        for (x, &level) in data.iter_mut().zip(row) {
            *x = decoder.level_value(level);
        }
        Ok(())
    }

    /// Returns the negative ELBO of a row of continuous data in raw units, with one draw of the noise for each t.
    ///
    /// * `row`: D values. In fixed point a value more than 8 scales from the mean counts as 8 scales from it: still
    ///   very unusual, but not more so than any other that far away.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use ancestral::{Likelihood, Sampler, W8A16};
    /// # use rand_xoshiro::{Xoshiro128PlusPlus, rand_core::SeedableRng};
    /// ancestral::include_model!(BEAT: W8A16 = concat!(env!("CARGO_MANIFEST_DIR"), "/models/ecg-t8-w8a16.vdm"));
    /// let mut rng = Xoshiro128PlusPlus::seed_from_u64(7);
    /// let mut sampler = Sampler::new(&BEAT);
    /// sampler.draw(&mut rng);
    /// let mut beat = vec![0.0; BEAT.model().dim()];
    /// sampler.values(&mut beat);
    /// let mut likelihood = Likelihood::new(&BEAT);
    /// let usual = likelihood.elbo_of_values(&beat, &mut rng)?.total();
    /// beat[10] += 5.0; // an artifact
    /// let unusual = likelihood.elbo_of_values(&beat, &mut rng)?.total();
    /// assert!(unusual > usual);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`RowError`] if the row does not suit the model.
    pub fn elbo_of_values<R: Rng + ?Sized>(&mut self, row: &[f32], rng: &mut R) -> Result<Elbo, RowError> {
        self.take_values(row)?;
        Ok(self.elbo_of_data(rng))
    }

    /// Takes a row of values as the data to score.
    pub(crate) fn take_values(&mut self, row: &[f32]) -> Result<(), RowError> {
        let decoder = self.model.decoder();
        if decoder.levels != 0 {
            return Err(RowError::Decoder);
        }
        self.check(row.len())?;
        if let Some(index) = row.iter().position(|v| !v.is_finite()) {
            return Err(RowError::NotFinite { index });
        }
        let data = self.storage.buffers(self.model.dim()).data;
        let affine = decoder.mean.iter().zip(decoder.scale);
        for ((x, &value), (mean, scale)) in data.iter_mut().zip(row).zip(affine) {
            *x = F::Number::from_f32((value - mean) / scale);
        }
        Ok(())
    }

    fn check(&self, found: usize) -> Result<(), RowError> {
        if self.model.header().samples_only {
            return Err(RowError::SamplesOnly);
        }
        let expected = self.model.dim();
        if found == expected {
            Ok(())
        } else {
            Err(RowError::Dimension { found, expected })
        }
    }

    fn elbo_of_data<R: Rng + ?Sized>(&mut self, rng: &mut R) -> Elbo {
        let model = self.model;
        let Buffers {
            state,
            estimate,
            data,
            scratch,
            ..
        } = self.storage.buffers(model.dim());
        let mut denoiser = Mlp::new(&model, scratch);
        elbo(
            &model.step_table(),
            &model.decoder(),
            &mut denoiser,
            data,
            state,
            estimate,
            rng,
        )
    }
}
