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

use crate::format::Format;
use crate::mlp::{estimate_data, forward_many};
use crate::model::{Model, StaticModel};
use crate::sampler::{advance, start};
use crate::storage::Scratch;
use rand_core::Rng;

/// Draws `N` samples at once; a multiple of [`GROUP`](crate::kernel::GROUP) is best. All memory is inside.
pub struct BatchSampler<'m, F: Format, const DIM: usize, const WIDTH: usize, const N: usize> {
    model: &'m Model<'m, F>,
    memory: BatchMemory<F, DIM, WIDTH, N>,
    t: usize,
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
            t: 0,
        }
    }

    /// Begins `N` chains. Takes D words from each generator.
    pub fn start<R: Rng>(&mut self, generators: &mut [R; N]) {
        for (state, rng) in self.memory.state.iter_mut().zip(generators) {
            start(state, rng);
        }
        self.memory.estimate = [[F::Number::default(); DIM]; N];
        self.t = self.model.steps();
    }

    /// Takes one step of every chain and returns how many remain, or `None` if the chains have ended. Takes D words
    /// from each generator.
    pub fn step<R: Rng>(&mut self, generators: &mut [R; N]) -> Option<usize> {
        let Self { model, memory, t } = self;
        let s = t.checked_sub(1)?;
        let table = model.step_table();
        let constants = table.constants_at(*t)?;
        let [first, second] = &mut memory.scratch;
        let mut scratch = Scratch {
            first: first.as_flattened_mut(),
            second: second.as_flattened_mut(),
            work: memory.work.as_flattened_mut(),
        };
        let (state, estimate) = (memory.state.as_flattened(), memory.estimate.as_flattened_mut());
        forward_many(model, *t, state, &mut scratch, estimate);
        estimate_data(&constants, table.clip, state, estimate);
        for ((state, estimate), rng) in memory.state.iter_mut().zip(&memory.estimate).zip(generators) {
            advance(&table, &constants, *t, state, estimate, &mut memory.noise, rng);
        }
        *t = s;
        Some(s)
    }

    /// The states z_t.
    pub fn states(&self) -> &[[F::Number; DIM]; N] {
        &self.memory.state
    }

    /// Decodes the last estimates x̂ to levels: after the last step the samples. All 0 for continuous data, see
    /// [`BatchSampler::values`].
    pub fn levels(&mut self) -> &[[u8; DIM]; N] {
        let decoder = self.model.decoder();
        let BatchMemory { estimate, levels, .. } = &mut self.memory;
        if decoder.levels != 0 {
            decoder.decode_levels(estimate.as_flattened(), levels.as_flattened_mut());
        }
        levels
    }

    /// Writes the samples of continuous data in raw units to `out`.
    pub fn values(&self, out: &mut [[f32; DIM]; N]) {
        let decoder = self.model.decoder();
        for (out, state) in out.iter_mut().zip(&self.memory.state) {
            decoder.decode_values(state, out);
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
