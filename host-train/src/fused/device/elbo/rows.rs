//! Operands that all operations have in common, and the constants of each γ.
#![allow(unsafe_code)] // Kernels run on plain addresses, for which this file answers.

use crate::fused::device::launch::{blocks, check, grid, launch, narrow};
use crate::fused::device::params::{Form, TableGradient, TermsOf};
use crate::fused::device::queue::Queue;
use crate::fused::device::span::Span;
use crate::fused::read_out::ReadOut;
use ancestral::schedule::Prediction;
use candle_core::Result;

/// `sizeof(Terms)` in `cuda/elbo.cu`.
const TERMS: usize = 8 * 8 + 12 * 4;
/// `sizeof(Share)` there.
pub(super) const SHARE: usize = 2 * 8;

/// Operands that all operations have in common.
#[derive(Clone, Copy)]
pub struct RowSpans<'a> {
    /// Data, `(n, D)`.
    pub x: Span<'a, f32>,
    /// Noise, `(n, D)`.
    pub noise: Span<'a, f32>,
    /// Step of each row, `0..=T`, in ascending order.
    pub t: Span<'a, u32>,
    /// Table of γ, γ_0 ..= γ_T; or γ of each row.
    pub gamma: Span<'a, f32>,
}

impl RowSpans<'_> {
    pub(super) fn n(&self) -> usize {
        self.t.len()
    }

    pub(super) fn dim(&self) -> usize {
        self.x.len() / self.n().max(1)
    }

    pub(super) fn check(&self) -> Result<()> {
        let fits = self.n() > 0 && self.x.len() == self.n() * self.dim() && self.noise.len() == self.x.len();
        check(fits && !self.gamma.is_empty(), "rows")
    }

    /// Checks that there is a γ for each row.
    pub(super) fn check_by_row(&self) -> Result<()> {
        check(self.gamma.len() == self.n(), "list of gamma")
    }

    /// Reserves and fills the list of the constants of each γ.
    pub(super) fn terms<Q: Queue>(&self, queue: &Q, form: Form) -> Result<Q::Memory> {
        self.check()?;
        let memory = queue.reserve(self.gamma.len() * TERMS)?;
        let params = TermsOf {
            gamma: self.gamma.address(),
            terms: queue.address(&memory),
            count: narrow(self.gamma.len())?,
            unused: 0,
            form,
        };
        // SAFETY: there is room for the constants of each γ.
        unsafe { launch(queue, blocks(self.gamma.len())?, &params)? };
        Ok(memory)
    }

    /// Sums the rows' shares into the gradient of the table.
    pub(super) fn sum_by_table<Q: Queue>(&self, queue: &Q, shares: u64, out: Span<'_, f32>) -> Result<()> {
        let params = TableGradient {
            shares,
            t: self.t.address(),
            out: out.address(),
            n: self.n() as u64,
        };
        // SAFETY: one share per row; a block per entry of the table, all of which `out` has.
        unsafe { launch(queue, grid(out.len(), 1)?, &params) }
    }
}

/// Returns a read-out as kernels take it.
pub(super) fn form(read_out: ReadOut) -> Form {
    Form {
        prediction: u32::from(read_out.prediction.code()),
        levels: match read_out.prediction {
            Prediction::Odds { levels } => u32::from(levels),
            Prediction::V | Prediction::X => 0,
        },
        clip: u32::from(read_out.clip),
        unused: 0,
    }
}
