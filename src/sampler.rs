//! The ancestral chain from noise to data, step by step or all at once.

use crate::decoder::Decoding;
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
///     assert!(remaining <= 64); // 64 steps, and the decoder
/// }
/// assert_eq!(sampler.levels(), first);
/// ```
pub struct Sampler<'m, F: Format, S> {
    model: &'m Model<'m, F>,
    table: StepTable<'m, F::Number>,
    storage: S,
    chain: Chain,
}

/// Progress of a chain.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Chain {
    /// Calls of the network that remain.
    pub remaining: usize,
    /// Choice of the sample from the network decoder.
    pub decoding: Decoding,
    /// The sample has been taken from the network decoder.
    pub decoded: bool,
}

impl Chain {
    /// Begins a chain of `calls` calls of the network.
    pub fn begin(&mut self, calls: usize) {
        (self.remaining, self.decoded) = (calls, false);
    }

    /// Returns the step of the next call of the network, 0 for the decoder, and counts it.
    ///
    /// * `network_decoder`: the last call is the decoder's.
    pub fn next(&mut self, network_decoder: bool) -> Option<usize> {
        let t = self.remaining.checked_sub(usize::from(network_decoder))?;
        self.remaining = self.remaining.checked_sub(1)?;
        self.decoded = t == 0;
        Some(t)
    }
}

impl<F: Format, const DIM: usize, const WIDTH: usize> Sampler<'static, F, Inline<F, DIM, WIDTH>> {
    /// Creates a sampler for a model of [`include_model!`](crate::include_model): the sizes come from its type.
    #[inline(always)]
    pub fn new(model: &'static StaticModel<F, DIM, WIDTH>) -> Self {
        Self {
            model: model.model(),
            table: model.model().step_table(),
            storage: Inline::new(),
            chain: Chain::default(),
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
    /// assert_eq!(sampler.step(&mut rng), Some(8)); // seven steps, and the decoder
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
            chain: Chain::default(),
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
        let calls = self.calls();
        self.chain.begin(calls);
    }

    /// Number of times that a whole sample runs the network: the steps, and one more with the network decoder.
    pub fn calls(&self) -> usize {
        self.table.steps() + usize::from(self.model.header().network_decoder)
    }

    /// Chooses how the network decoder takes the sample from p(x | z_0): [`Decoding::Draw`] unless chosen otherwise.
    /// Without effect on a model with the factorized decoder.
    ///
    /// ```
    /// # use ancestral::{Sampler, W8A16, decoder::Decoding};
    /// # use rand_xoshiro::{Xoshiro128PlusPlus, rand_core::SeedableRng};
    /// # ancestral::include_model!(DIGITS: W8A16 = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-t8-w8a16.vdm"));
    /// let mut sampler = Sampler::new(&DIGITS);
    /// sampler.set_decoding(Decoding::Mode);
    /// let digit = sampler.sample(&mut Xoshiro128PlusPlus::seed_from_u64(7));
    /// assert_eq!(digit.len(), 64);
    /// ```
    pub fn set_decoding(&mut self, decoding: Decoding) {
        self.chain.decoding = decoding;
    }

    /// Runs the network once, for one step or for the network decoder, and returns how many such calls remain, or
    /// `None` if the chain has ended or was not begun. Takes D words from the generator; the decoder's
    /// [`Decoding::Mode`] takes none.
    ///
    /// ```
    /// # use ancestral::{Sampler, W8A16};
    /// # use rand_xoshiro::{Xoshiro128PlusPlus, rand_core::SeedableRng};
    /// # ancestral::include_model!(DIGITS: W8A16 = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-t8-w8a16.vdm"));
    /// let mut rng = Xoshiro128PlusPlus::seed_from_u64(7);
    /// let mut sampler = Sampler::new(&DIGITS);
    /// sampler.start(&mut rng);
    /// while let Some(remaining) = sampler.step(&mut rng) {
    ///     println!("{remaining} calls to go; so far it looks like {:?}", sampler.levels());
    /// }
    /// ```
    pub fn step<R: Rng + ?Sized>(&mut self, rng: &mut R) -> Option<usize> {
        let Self {
            model,
            table,
            storage,
            chain,
        } = self;
        let t = chain.next(model.header().network_decoder)?;
        let Buffers {
            state,
            estimate,
            data,
            levels,
            scratch,
        } = storage.buffers(model.dim());
        let mut denoiser = Mlp::new(model, scratch);
        if t == 0 {
            denoiser.decode(state, estimate);
            model.decoder().sample(chain.decoding, estimate, data, levels, rng);
        } else {
            reverse_step(table, &mut denoiser, t, state, estimate, data, rng);
        }
        Some(chain.remaining)
    }

    /// Iterates over the calls of a whole chain, yielding how many remain: `for remaining in sampler.steps(&mut rng)`.
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

    /// The last estimate x̂, D values: a preview of the sample while the chain runs. Once the network decoder has been
    /// run, the sample itself in model units.
    pub fn estimate(&mut self) -> &[F::Number] {
        self.buffers().estimate
    }

    /// Returns the sample's levels once the chain has ended, D of them, and before that those nearest to the last
    /// estimate: a preview. All 0 for continuous data, see [`Sampler::values`].
    ///
    /// With the factorized decoder the sample is the nearest levels of x̂(z_1, 1) rather than of z_0, as Ho et al.
    /// (2020, section 3.3) leave out the noise of the last step: what z_0 adds to it is the decoder's uncertainty
    /// between neighboring levels, not data.
    pub fn levels(&mut self) -> &[u8] {
        let (decoder, decoded) = (self.model.decoder(), self.chain.decoded);
        let Buffers { estimate, levels, .. } = self.buffers();
        if decoder.levels != 0 && !decoded {
            decoder.nearest_levels(estimate, levels);
        }
        levels
    }

    /// Writes the sample in raw units to `out`, D values. For discretized data these are the [`Sampler::levels`] as
    /// numbers. For continuous data they are what the network decoder gave, and before the chain's end the last
    /// estimate: a preview. With the factorized decoder they are its mean: z_0's noise is part of the data's spread, so
    /// it is kept.
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
            let Buffers { state, estimate, .. } = self.buffers();
            decoder.decode_values(if decoder.network { estimate } else { state }, out);
        }
    }

    /// Draws a whole chain and returns z_0. Takes `D·(T + 1)` words from the generator, and D more with the network
    /// decoder.
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
