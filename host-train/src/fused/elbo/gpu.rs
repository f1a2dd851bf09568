//! The rows, held open for the kernels of a GPU.

use super::rows::Rows;
use crate::fused::cuda::Held;
use crate::fused::device::{self, elbo::RowSpans};
use candle_core::Result;

pub(super) struct OnGpu<'a> {
    x: Held<'a>,
    noise: Held<'a>,
    t: Held<'a>,
}

impl<'a> OnGpu<'a> {
    pub(super) fn new(rows: &'a Rows) -> Result<Self> {
        let Some(t) = &rows.on_gpu else {
            candle_core::bail!("fused ELBO: the data must be on the GPU that the network is on")
        };
        Ok(Self {
            x: Held::new(&rows.x)?,
            noise: Held::new(&rows.noise)?,
            t: Held::new(t)?,
        })
    }

    /// Returns the spans for a list of γ: the table, or one for each row.
    pub(super) fn rows<'b>(&'b self, gamma: device::Span<'b, f32>) -> Result<RowSpans<'b>> {
        Ok(RowSpans {
            x: self.x.span()?,
            noise: self.noise.span()?,
            t: self.t.span()?,
            gamma,
        })
    }
}
