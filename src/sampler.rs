//! The ancestral chain from noise to data, step by step or all at once.

use crate::denoiser::Denoiser;
use crate::format::Format;
use crate::mlp::Mlp;
use crate::model::{Model, ModelError, StaticModel, StepTable};
use crate::number::Number;
use crate::schedule::StepConstants;
use crate::storage::{Buffers, Inline, Storage};
use rand_core::Rng;

/// Draws z_T ~ N(0, I) into `state`.
pub fn start<N: Number, R: Rng + ?Sized>(state: &mut [N], rng: &mut R) {
    for z in state {
        *z = N::normal(rng);
    }
}

/// Takes one step of p(z_s | z_t), `s = t − 1`: `z_s = keep·z_t + pull·x̂(z_t, t) + spread·n`.
///
/// * `t`: in `1..=T`; beyond the table nothing happens;
/// * `state`: z_t, overwritten by z_s;
/// * `estimate`: overwritten by x̂(z_t, t);
/// * `noise`: D values, overwritten; needed if the reverse variance differs between dimensions.
///
/// Takes one 32-bit word per dimension from the generator.
pub fn reverse_step<D: Denoiser, R: Rng + ?Sized>(
    table: &StepTable<'_, D::Number>,
    denoiser: &mut D,
    t: usize,
    state: &mut [D::Number],
    estimate: &mut [D::Number],
    noise: &mut [D::Number],
    rng: &mut R,
) {
    let Some(constants) = table.constants_at(t) else { return };
    denoiser.denoise(state, table.time(t), estimate);
    advance(table, &constants, t, state, estimate, noise, rng);
}

/// Finishes [`reverse_step`] once the estimate is there.
///
/// * `c`: the constants of step `t`.
pub(crate) fn advance<N: Number, R: Rng + ?Sized>(
    table: &StepTable<'_, N>,
    c: &StepConstants<N::Constant>,
    t: usize,
    state: &mut [N],
    estimate: &[N],
    noise: &mut [N],
    rng: &mut R,
) {
    if let Some(variance) = &table.reverse_variance {
        for (z, &x) in state.iter_mut().zip(estimate) {
            *z = N::mix2(c.keep, *z, c.pull, x);
        }
        return variance.add_noise(t, state, noise, rng);
    }
    for (z, &x) in state.iter_mut().zip(estimate) {
        let noise = N::normal(rng);
        *z = N::mix3(c.keep, *z, c.pull, x, c.spread, noise);
    }
}

/// Draws samples from a model. All memory is inside (`S`).
///
/// ```
/// # use ancestral::{Sampler, W8A16};
/// # use rand_xoshiro::{Xoshiro128PlusPlus, rand_core::SeedableRng};
/// # ancestral::include_model!(DIGITS: W8A16 = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-t64-w8a16.vdm"));
/// let mut rng = Xoshiro128PlusPlus::seed_from_u64(7);
/// let mut sampler = Sampler::new(&DIGITS);
///
/// // Whole:
/// let first = sampler.sample(&mut rng).to_vec();
///
/// // Or a step at a time, with other work in between; the bits are the same.
/// let mut rng = Xoshiro128PlusPlus::seed_from_u64(7);
/// sampler.start(&mut rng);
/// while let Some(remaining) = sampler.step(&mut rng) {
///     // feed the watchdog, poll the radio …
///     assert!(remaining < 64);
/// }
/// assert_eq!(sampler.levels(), first);
/// ```
pub struct Sampler<'m, F: Format, S> {
    model: &'m Model<'m, F>,
    table: StepTable<'m, F::Number>,
    storage: S,
    t: usize,
}

impl<F: Format, const DIM: usize, const WIDTH: usize> Sampler<'static, F, Inline<F, DIM, WIDTH>> {
    /// Creates a sampler for a model of [`include_model!`](crate::include_model): the sizes come from its type.
    #[inline(always)]
    pub fn new(model: &'static StaticModel<F, DIM, WIDTH>) -> Self {
        Self {
            model: model.model(),
            table: model.model().step_table(),
            storage: Inline::new(),
            t: 0,
        }
    }
}

impl<'m, F: Format, S: Storage<F>> Sampler<'m, F, S> {
    /// Creates a sampler for a model parsed at run time.
    ///
    /// * `storage`: large enough for the model.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use ancestral::{Model, Sampler, W8A16, model::AlignedBytes, storage::Heap};
    /// use rand_xoshiro::{Xoshiro128PlusPlus, rand_core::SeedableRng};
    /// let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-t8-w8a16.vdm"))?;
    /// let bytes = AlignedBytes::new(&file);
    /// let model = Model::<W8A16>::parse(&bytes)?;
    /// let mut sampler = Sampler::with_storage(&model, Heap::for_model(&model))?;
    /// let digit = sampler.sample(&mut Xoshiro128PlusPlus::seed_from_u64(7));
    /// assert_eq!(digit.len(), model.dim());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ModelError::Capacity`] if the storage is too small.
    pub fn with_storage(model: &'m Model<'m, F>, storage: S) -> Result<Self, ModelError> {
        Self::with_table(model, storage, model.step_table())
    }

    /// Creates a sampler that takes other steps than the model's own, see [`steps`](crate::steps).
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use ancestral::{Q3_12, Sampler, W8A16, steps::OwnedStepTable, storage::Inline};
    /// use rand_xoshiro::{Xoshiro128PlusPlus, rand_core::SeedableRng};
    /// ancestral::include_model!(DIGITS: W8A16 = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-t64-w8a16.vdm"));
    /// // Eight of the model's 64 steps, with a tenth of the noise.
    /// let table = OwnedStepTable::<Q3_12, 9>::new(DIGITS.model(), 8, 0.1)?;
    /// let mut sampler = Sampler::with_table(DIGITS.model(), Inline::<W8A16, 64, 256>::new(), table.view())?;
    /// let mut rng = Xoshiro128PlusPlus::seed_from_u64(7);
    /// sampler.start(&mut rng);
    /// assert_eq!(sampler.step(&mut rng), Some(7));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ModelError::Capacity`] if the storage is too small.
    pub fn with_table(
        model: &'m Model<'m, F>,
        storage: S,
        table: StepTable<'m, F::Number>,
    ) -> Result<Self, ModelError> {
        model.fits(storage.dim(), storage.width())?;
        Ok(Self {
            model,
            table,
            storage,
            t: 0,
        })
    }

    /// The model.
    pub fn model(&self) -> &Model<'m, F> {
        self.model
    }

    fn buffers(&mut self) -> Buffers<'_, F> {
        self.storage.buffers(self.model.dim())
    }

    /// Begins a chain: z_T ~ N(0, I). Takes D words from the generator.
    pub fn start<R: Rng + ?Sized>(&mut self, rng: &mut R) {
        let Buffers { state, estimate, .. } = self.buffers();
        estimate.fill(F::Number::default());
        start(state, rng);
        self.t = self.table.steps();
    }

    /// Takes one step and returns how many remain, or `None` if the chain has ended or was not begun. Takes D words
    /// from the generator.
    ///
    /// ```
    /// # use ancestral::{Sampler, W8A16};
    /// # use rand_xoshiro::{Xoshiro128PlusPlus, rand_core::SeedableRng};
    /// # ancestral::include_model!(DIGITS: W8A16 = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-t8-w8a16.vdm"));
    /// let mut rng = Xoshiro128PlusPlus::seed_from_u64(7);
    /// let mut sampler = Sampler::new(&DIGITS);
    /// sampler.start(&mut rng);
    /// while let Some(remaining) = sampler.step(&mut rng) {
    ///     println!("{remaining} steps to go; so far it looks like {:?}", sampler.levels());
    /// }
    /// ```
    pub fn step<R: Rng + ?Sized>(&mut self, rng: &mut R) -> Option<usize> {
        let Self {
            model,
            table,
            storage,
            t,
        } = self;
        let s = t.checked_sub(1)?;
        let Buffers {
            state,
            estimate,
            data,
            scratch,
            ..
        } = storage.buffers(model.dim());
        let mut denoiser = Mlp::new(model, scratch);
        reverse_step(table, &mut denoiser, s + 1, state, estimate, data, rng);
        *t = s;
        Some(s)
    }

    /// Iterates over the steps of a whole chain, yielding how many remain: `for remaining in sampler.steps(&mut rng)`.
    pub fn steps<'a, R: Rng + ?Sized>(
        &'a mut self,
        rng: &'a mut R,
    ) -> impl Iterator<Item = usize> + use<'a, 'm, F, S, R> {
        self.start(rng);
        core::iter::from_fn(move || self.step(rng))
    }

    /// The state z_t, D values.
    pub fn state(&mut self) -> &[F::Number] {
        self.buffers().state
    }

    /// The last estimate x̂, D values: a preview of the sample while the chain runs.
    pub fn estimate(&mut self) -> &[F::Number] {
        self.buffers().estimate
    }

    /// Decodes the last estimate to levels, D of them: after the last step the sample, before it a preview. All 0 for
    /// continuous data, see [`Sampler::values`].
    ///
    /// The estimate x̂(z_1, 1) is decoded rather than z_0, as Ho et al. (2020, section 3.3) leave out the noise of the
    /// last step: what z_0 adds to it is the decoder's uncertainty between neighboring levels, not data.
    pub fn levels(&mut self) -> &[u8] {
        let decoder = self.model.decoder();
        let Buffers { estimate, levels, .. } = self.buffers();
        if decoder.levels != 0 {
            decoder.decode_levels(estimate, levels);
        }
        levels
    }

    /// Writes the sample in raw units to `out`, D values. For discretized data these are the [`Sampler::levels`] as
    /// numbers. For continuous data they are the mean of p(x | z_0): its noise is part of the data's spread, so it is
    /// kept.
    ///
    /// ```
    /// # use ancestral::{Sampler, W8A16};
    /// # use rand_xoshiro::{Xoshiro128PlusPlus, rand_core::SeedableRng};
    /// ancestral::include_model!(BEAT: W8A16 = concat!(env!("CARGO_MANIFEST_DIR"), "/models/ecg-t8-w8a16.vdm"));
    /// let mut sampler = Sampler::new(&BEAT);
    /// sampler.draw(&mut Xoshiro128PlusPlus::seed_from_u64(7));
    /// let mut beat = vec![0.0; BEAT.model().dim()];
    /// sampler.values(&mut beat);
    /// assert!(beat.iter().any(|&millivolts| millivolts != 0.0));
    /// ```
    pub fn values(&mut self, out: &mut [f32]) {
        let decoder = self.model.decoder();
        if decoder.levels != 0 {
            for (value, &level) in out.iter_mut().zip(self.levels()) {
                *value = f32::from(level);
            }
        } else {
            decoder.decode_values(self.buffers().state, out);
        }
    }

    /// Draws z_0: a whole chain. Takes `D·(T + 1)` words from the generator.
    pub fn draw<R: Rng + ?Sized>(&mut self, rng: &mut R) -> &[F::Number] {
        self.start(rng);
        while self.step(rng).is_some() {}
        self.state()
    }

    /// Draws a sample of discretized data: a whole chain, decoded to D levels.
    pub fn sample<R: Rng + ?Sized>(&mut self, rng: &mut R) -> &[u8] {
        self.draw(rng);
        self.levels()
    }
}
