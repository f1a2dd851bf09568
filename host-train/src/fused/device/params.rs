//! Parameters of the kernels, field by field as in `cuda/*.cu`, which documents each. Address 0 stands for none.
#![allow(unsafe_code)] // `Kernel` is an unsafe trait: its layouts are promises.

/// Threads of every block; also in `cuda/base.h`.
pub const THREADS: usize = 256;
/// Threads that share a row; also in `cuda/base.h`.
pub const LANES: usize = 32;
/// Rows of a block in which [`LANES`] threads share a row; `ROWS` in `cuda/base.h`.
pub const BLOCK_ROWS: usize = THREADS / LANES;
/// Parameters of the network in one launch; also in `cuda/update.cu`.
pub const SLOTS: usize = 48;

/// Parts that a sum over everything is cut into at most, one for each block.
pub const MAX_PARTS: usize = 1024;

/// A structure of parameters.
///
/// # Safety
/// The structure must have the layout of the one that the kernel of this name takes.
pub unsafe trait Kernel: Copy {
    const NAME: &'static str;
}

macro_rules! kernels {
    ($($kernel:literal $name:ident { $($field:ident: $type:ty),* $(,)? })*) => {$(
        #[repr(C)]
        #[derive(Clone, Copy, Debug)]
        pub struct $name {
            $(pub $field: $type),*
        }
        // SAFETY: the fields are those of the structure of the same name in C, in the same order, of the same sizes.
        unsafe impl Kernel for $name {
            const NAME: &'static str = $kernel;
        }
    )*};
}

/// Source of random words.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct WordSource {
    pub seed: u64,
    pub step: u64,
    pub purpose: u32,
    pub unused: u32,
}

/// Parameters of the network that [`SquaredNorm`] and [`AdamW`] work on.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Slots {
    pub gradient: [u64; SLOTS],
    pub value: [u64; SLOTS],
    pub end: [u64; SLOTS],
    pub rate_scale: [f64; SLOTS],
    pub decay: [f64; SLOTS],
}

/// The read-out as kernels take it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Form {
    pub prediction: u32,
    pub levels: u32,
    pub clip: u32,
    pub unused: u32,
}

/// Rows and the network's output for them.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    pub terms: u64,
    pub t: u64,
    pub x: u64,
    pub noise: u64,
    pub output: u64,
    pub n: u64,
    pub dim: u32,
    pub count: u32,
    pub form: Form,
}

kernels! {
    "normals" Normals { source: WordSource, table: u64, out: u64, count: u64 }
    "masks" Masks { source: WordSource, out: u64, count: u64, drop: f64, keep: f32, unused: u32 }
    "times" Times { source: WordSource, t: u64, count: u64, steps: u64, start: f64 }
    "gather" Gather { source: WordSource, data: u64, out: u64, total: u64, count: u64, dim: u64 }
    "activate" Activate {
        sums: u64, out: u64, biases: u64, index: u64, mask: u64, residual: u64, n: u64, width: u32, stride: u32,
        first: u32, entries: u32, activation: u32, bf16: u32,
    }
    "add_biases" AddBiases {
        out: u64, biases: u64, index: u64, n: u64, width: u32, stride: u32, first: u32, entries: u32,
    }
    "combine" Combine { a: u64, b: u64, count: u64, bf16_a: u32, bf16_b: u32, operation: u32, unused: u32 }
    "bias_parts" BiasParts {
        values: u64, parts: u64, index: u64, n: u64, width: u32, entries: u32, cuts: u32, bf16: u32,
    }
    "bias_sums" BiasSums {
        out: u64, parts: u64, width: u32, entries: u32, cuts: u32, stride: u32, first: u32, unused: u32,
    }
    "terms_of" TermsOf { gamma: u64, terms: u64, count: u32, unused: u32, form: Form }
    "state" State { terms: u64, t: u64, x: u64, noise: u64, z: u64, n: u64, dim: u32, count: u32 }
    "state_gradient" StateGradient {
        terms: u64, t: u64, x: u64, noise: u64, gradient: u64, shares: u64, n: u64, dim: u32, count: u32,
    }
    "cost" Cost { rows: Reading, nats: u64, factors: [f64; 2] }
    "cost_gradient" CostGradient { rows: Reading, upstream: u64, by_output: u64, shares: u64, factors: [f64; 2] }
    "table_gradient" TableGradient { shares: u64, t: u64, out: u64, n: u64 }
    "row_error" RowError { rows: Reading, error: u64 }
    "row_error_gradient" RowErrorGradient { rows: Reading, upstream: u64, by_output: u64, by_gamma: u64 }
    "level_nats" LevelNats { rows: Reading, nats: u64 }
    "level_nats_gradient" LevelNatsGradient { rows: Reading, upstream: u64, by_output: u64, by_gamma: u64 }
    "term_totals" TermTotals { values: u64, t: u64, out: u64, n: u64 }
    "total" Total { values: u64, out: u64, count: u64, factor: f64 }
    "square" Square { output: u64, target: u64, parts: u64, count: u64 }
    "square_gradient" SquareGradient { output: u64, target: u64, upstream: u64, out: u64, count: u64 }
    "squares" SquaredNorm { slots: Slots, parts: u64, count: u64 }
    "judge" Judge { progress: u64, parts: u64, term: [u64; 3], clip: f64, count: u64 }
    "adamw" AdamW {
        slots: Slots, progress: u64, plan: u64, state: u64, beta_1: f64, beta_2: f64, epsilon: f64, count: u64,
    }
    "tick" Tick { progress: u64, term: [u64; 3], unit: f64 }
}
