//! Everything random in a step: the rows, their times, the noise and the masks of dropout.
//!
//! The numbers are those of [`crate::rng::Counter`].
#![allow(unsafe_code)] // Kernels run on plain addresses, for which this file answers.

use super::launch::{blocks, check, launch};
use super::params::{Gather, Masks, Normals, Times, WordSource};
use super::queue::Queue;
use super::span::Span;
use crate::rng::Purpose;
use ancestral::noise::{OCTAVES, SEGMENTS, TABLE};
use candle_core::Result;

/// Returns the table of the normal's quantiles as the kernel takes it: value, slope and curve of each segment in 8
/// bytes.
pub fn quantiles() -> Vec<u32> {
    let segment = |s: &ancestral::noise::Segment| {
        let (slope, curve) = (s.slope as u16, s.curve as u16);
        [s.value as u32, u32::from(slope) | u32::from(curve) << 16]
    };
    TABLE.iter().flat_map(segment).collect()
}

/// A generator on the device.
#[derive(Clone, Copy)]
pub struct Draw<'a> {
    /// Seed of the run.
    pub seed: u64,
    /// Number of the step.
    pub step: Span<'a, u64>,
    /// The table of [`quantiles`].
    pub table: Span<'a, u32>,
}

impl Draw<'_> {
    fn source(&self, purpose: Purpose) -> Result<WordSource> {
        check(
            self.step.len() == 1 && self.table.len() == 2 * OCTAVES * SEGMENTS,
            "table of quantiles",
        )?;
        Ok(WordSource {
            seed: self.seed,
            step: self.step.address(),
            purpose: purpose.number(),
            unused: 0,
        })
    }

    /// Fills `out` with standard normals.
    pub fn normals<Q: Queue>(&self, queue: &Q, purpose: Purpose, out: Span<'_, f32>) -> Result<()> {
        let params = Normals {
            source: self.source(purpose)?,
            table: self.table.address(),
            out: out.address(),
            count: out.len() as u64,
        };
        // SAFETY: the table has its size, and `out` as many places as are written.
        unsafe { launch(queue, blocks(out.len().div_ceil(4))?, &params) }
    }

    /// Fills `out` with 0 with probability `drop`, and 1/(1 − `drop`) otherwise.
    pub fn masks<Q: Queue>(&self, queue: &Q, purpose: Purpose, drop: f64, out: Span<'_, f32>) -> Result<()> {
        let params = Masks {
            source: self.source(purpose)?,
            out: out.address(),
            count: out.len() as u64,
            drop,
            keep: (1.0 / (1.0 - drop)) as f32,
            unused: 0,
        };
        // SAFETY: `out` has as many places as are written.
        unsafe { launch(queue, blocks(out.len().div_ceil(4))?, &params) }
    }

    /// Draws stratified steps in ascending order into `t`: 0 for a fraction `start` of the rows, and `1..=steps` evenly
    /// for the others.
    pub fn times<Q: Queue>(&self, queue: &Q, steps: usize, start: f64, t: Span<'_, u32>) -> Result<()> {
        check(steps > 0 && (0.0..1.0).contains(&start), "steps")?;
        let params = Times {
            source: self.source(Purpose::Times)?,
            t: t.address(),
            count: t.len() as u64,
            steps: steps as u64,
            start,
        };
        // SAFETY: `t` has as many places as are written.
        unsafe { launch(queue, blocks(t.len())?, &params) }
    }

    /// Draws rows of `data` uniformly with replacement into `out`; both have rows of `dim`.
    pub fn rows<Q: Queue>(&self, queue: &Q, data: Span<'_, f32>, dim: usize, out: Span<'_, f32>) -> Result<()> {
        let whole = dim > 0 && !data.is_empty() && data.len().is_multiple_of(dim) && out.len().is_multiple_of(dim);
        check(whole, "rows")?;
        let params = Gather {
            source: self.source(Purpose::Rows)?,
            data: data.address(),
            out: out.address(),
            total: (data.len() / dim) as u64,
            count: (out.len() / dim) as u64,
            dim: dim as u64,
        };
        // SAFETY: rows are drawn below `total`, and `out` has `count` of them.
        unsafe { launch(queue, blocks(out.len())?, &params) }
    }
}
