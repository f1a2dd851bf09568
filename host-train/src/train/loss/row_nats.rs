//! The nats of each row of a batch.

use super::objective::Objective;
use crate::fused::elbo::Rows;
use crate::fused::index::Index;
use crate::train::config::DecoderKind;
use ancestral::schedule::Prediction;
use candle_core::{Device, Result, Tensor};

/// Results of the network for the rows of a batch.
pub(super) struct RowReads {
    /// √SNR·(x̂ − x), `(n, D)`.
    pub error: Tensor,
    /// `−ln p(x | z)` of levels, `(n, 1)`, if the network decodes them. Only rows at t = 0 count.
    pub level_nats: Option<Tensor>,
}

/// Nats of each row, `(n, 1)` each.
pub(super) struct RowNats {
    /// Nats of the network decoder; 0 for other rows. `None` if no row is decoded by the network.
    pub decoder: Option<Tensor>,
    /// Nats of the row's step; 0 for the rows at t = 0.
    pub step: Tensor,
}

impl Objective<'_> {
    /// Reads the network's output by fused operations.
    ///
    /// * `gamma`: γ of each row, `(n, 1)`.
    pub(super) fn read_fused(&self, rows: &Rows, f: &Tensor, gamma: &Tensor) -> Result<RowReads> {
        let level_nats = match self.decodes_levels() {
            true => Some(rows.level_nats(f, gamma, self.read_out)?),
            false => None,
        };
        Ok(RowReads {
            error: rows.error(f, gamma, self.read_out)?,
            level_nats,
        })
    }

    /// Reads the network's output by candle's own operations.
    pub(super) fn read_plain(&self, x: &Tensor, z: &Tensor, f: &Tensor, gamma: &Tensor) -> Result<RowReads> {
        let level_nats = match self.decodes_levels() {
            true => Some(self.read_out.level_nats(x, z, f, gamma)?),
            false => None,
        };
        Ok(RowReads {
            error: (self.read_out.estimate(z, f, gamma)? - x)?.broadcast_mul(&(gamma * -0.5)?.exp()?)?,
            level_nats,
        })
    }

    fn decodes_levels(&self) -> bool {
        let odds = matches!(self.read_out.prediction, Prediction::Odds { .. });
        odds && self.decoder == DecoderKind::Network
    }
}

/// Returns 1 for each row at t = 0 and 0 for the others, `(n, 1)`.
pub(super) fn start_rows(t: &Index, device: &Device) -> Result<Tensor> {
    let t = t.tensor(device)?.unsqueeze(1)?;
    t.eq(&t.zeros_like()?)?.to_dtype(candle_core::DType::F32)
}

/// Returns twice the nats per dimension of a Gaussian of the variance 1/SNR at its mean: `ln 2π + γ`.
pub(super) fn log_variance(gamma: &Tensor) -> Result<Tensor> {
    gamma.affine(1.0, (2.0 * std::f64::consts::PI).ln())
}
