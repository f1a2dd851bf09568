//! Several samples at once, which share each pass over the weights.
//!
//! Every weight is loaded and unpacked once for four samples: a quarter fewer instructions per sample on Cortex-M4
//! (`docs/performance.md`), for as many times the memory. Each sample has a generator of its own and is, bit for bit,
//! what [`Sampler`](crate::Sampler) draws with it.
//!
//! ```
//! use ancestral::{BatchSampler, W8A8};
//! use rand_xoshiro::{Xoshiro128PlusPlus, rand_core::SeedableRng};
//!
//! ancestral::include_model!(DIGITS: W8A8 = concat!(env!("CARGO_MANIFEST_DIR"), "/models/digits-small-t64-w8a8.vdm"));
//!
//! let mut generators = [1, 2, 3, 4].map(Xoshiro128PlusPlus::seed_from_u64);
//! let mut sampler: BatchSampler<'_, _, 64, 64, 4> = BatchSampler::new(&DIGITS);
//! for digit in sampler.sample(&mut generators) {
//!     println!("{digit:?}");
//! }
//! ```

use crate::decoder::Decoding;
use crate::format::Format;
use crate::mlp::{decode_argument, estimate_data, forward_many};
use crate::model::{Model, StaticModel};
use crate::sampler::{Chain, advance, start};
use crate::storage::Scratch;
use rand_core::Rng;

/// Draws `N` samples at once; a multiple of [`GROUP`](crate::kernel::GROUP) is best. All memory is inside.
pub struct BatchSampler<'m, F: Format, const DIM: usize, const WIDTH: usize, const N: usize> {
    model: &'m Model<'m, F>,
    memory: BatchMemory<F, DIM, WIDTH, N>,
    chain: Chain,
}

/// Buffers of N samples, one after the other; [`Inline`](crate::storage::Inline) holds those of one.
#[derive(Clone, Copy, bytemuck::Zeroable)]
#[zeroable(bound = "")]
#[repr(C, align(8))]
struct BatchMemory<F: Format, const DIM: usize, const WIDTH: usize, const N: usize> {
    state: [[F::Number; DIM]; N],
    estimate: [[F::Number; DIM]; N],
    noise: [F::Number; DIM],
    work: [[F::Work; WIDTH]; N],
    scratch: [[[F::Activation; WIDTH]; N]; 2],
    levels: [[u8; DIM]; N],
}

impl<F: Format, const DIM: usize, const WIDTH: usize, const N: usize> BatchSampler<'static, F, DIM, WIDTH, N> {
    /// Creates a sampler for a model of [`include_model!`](crate::include_model).
    #[inline(always)]
    pub fn new(model: &'static StaticModel<F, DIM, WIDTH>) -> Self {
        Self {
            model: model.model(),
            memory: bytemuck::zeroed(),
            chain: Chain::default(),
        }
    }

    /// Begins `N` chains. Takes D words from each generator.
    pub fn start<R: Rng>(&mut self, generators: &mut [R; N]) {
        for (state, rng) in self.memory.state.iter_mut().zip(generators) {
            start(state, rng);
        }
        self.memory.estimate = [[F::Number::default(); DIM]; N];
        self.chain.begin(self.model.calls());
    }

    /// Chooses how the network decoder takes the samples, see [`Sampler::set_decoding`](crate::Sampler::set_decoding).
    pub fn set_decoding(&mut self, decoding: Decoding) {
        self.chain.decoding = decoding;
    }

    /// Runs the network once for every chain and returns how many such calls remain, or `None` if the chains have
    /// ended. Takes D words from each generator, as [`Sampler::step`](crate::Sampler::step) does.
    pub fn step<R: Rng>(&mut self, generators: &mut [R; N]) -> Option<usize> {
        let Self { model, memory, chain } = self;
        let t = chain.next(model.header().network_decoder)?;
        let table = model.step_table();
        let constants = table.constants_at(t)?;
        let [first, second] = &mut memory.scratch;
        let mut scratch = Scratch {
            first: first.as_flattened_mut(),
            second: second.as_flattened_mut(),
            work: memory.work.as_flattened_mut(),
        };
        let (state, estimate) = (memory.state.as_flattened(), memory.estimate.as_flattened_mut());
        forward_many(model, t, state, &mut scratch, estimate);
        if t == 0 {
            decode_argument(model, state, estimate);
            let decoder = model.decoder();
            for ((x, levels), rng) in memory.estimate.iter_mut().zip(&mut memory.levels).zip(generators) {
                decoder.sample(chain.decoding, x, &mut memory.noise, levels, rng);
            }
            return Some(chain.remaining);
        }
        estimate_data(&constants, table.read_outs.get(t), state, estimate);
        for ((state, estimate), rng) in memory.state.iter_mut().zip(&memory.estimate).zip(generators) {
            advance(&table, &constants, t, state, estimate, &mut memory.noise, rng);
        }
        Some(chain.remaining)
    }

    /// The states z_t.
    pub fn states(&self) -> &[[F::Number; DIM]; N] {
        &self.memory.state
    }

    /// Returns the samples' levels once the chains have ended, and before that those nearest to the last estimates. All
    /// 0 for continuous data, see [`BatchSampler::values`].
    pub fn levels(&mut self) -> &[[u8; DIM]; N] {
        let decoder = self.model.decoder();
        let BatchMemory { estimate, levels, .. } = &mut self.memory;
        if decoder.levels != 0 && !self.chain.decoded {
            decoder.nearest_levels(estimate.as_flattened(), levels.as_flattened_mut());
        }
        levels
    }

    /// Writes the samples of continuous data in raw units to `out`, and before the chains' end previews, see
    /// [`Sampler::values`](crate::Sampler::values).
    pub fn values(&self, out: &mut [[f32; DIM]; N]) {
        let decoder = self.model.decoder();
        let BatchMemory { state, estimate, .. } = &self.memory;
        let samples = if decoder.network { estimate } else { state };
        for (out, sample) in out.iter_mut().zip(samples) {
            decoder.decode_values(sample, out);
        }
    }

    /// Draws `N` z_0: whole chains.
    pub fn draw<R: Rng>(&mut self, generators: &mut [R; N]) -> &[[F::Number; DIM]; N] {
        self.start(generators);
        while self.step(generators).is_some() {}
        self.states()
    }

    /// Draws `N` samples of discretized data.
    pub fn sample<R: Rng>(&mut self, generators: &mut [R; N]) -> &[[u8; DIM]; N] {
        self.draw(generators);
        self.levels()
    }
}
