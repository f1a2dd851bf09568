//! The curve of γ between its ends: the fraction of the way, from 0 to 1, as a function of time.

use super::monotone::Monotone;
use candle_core::{DType, Device, Result, Tensor, Var};
use serde::{Deserialize, Serialize};

/// Parametrization of the curve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CurveKind {
    /// T straight pieces with one parameter each.
    #[default]
    Table,
    /// A small monotone network.
    Network,
}

/// Share of the way that is divided evenly among all pieces, so that none can become empty.
const EVEN_SHARE: f64 = 1e-3;
/// Least share of one piece: four steps of an f32 near 16 if γ rises by 1.
const LEAST_PIECE: f64 = 1.0 / 262_144.0;

/// Returns the share of the way that is divided evenly among `steps` pieces. The rest is the learned curve's.
pub(super) fn even_share(steps: usize) -> f64 {
    EVEN_SHARE.max(steps as f64 * LEAST_PIECE)
}

/// The fraction of the way as a function of the time in [0, 1].
#[derive(Clone, Debug)]
pub(super) enum GammaCurve {
    /// `Σ_{i ≤ t} (1 − ε) softmax(w)_i + ε/T` after t of T pieces.
    Table(Var),
    /// `(1 − ε) s(u) + ε u` with a monotone network s, and the number of steps that it is sampled at.
    Network { network: Monotone, steps: usize },
}

impl GammaCurve {
    /// A curve with even steps.
    pub(super) fn new(kind: CurveKind, steps: usize, device: &Device) -> Result<Self> {
        Ok(match kind {
            CurveKind::Table => Self::Table(Var::zeros(steps, DType::F32, device)?),
            CurveKind::Network => Self::Network {
                network: Monotone::new(device)?,
                steps,
            },
        })
    }

    /// Returns T.
    pub(super) fn steps(&self) -> usize {
        match self {
            Self::Table(logits) => logits.elem_count(),
            Self::Network { steps, .. } => *steps,
        }
    }

    /// Returns the parameters with their names.
    pub(super) fn parameters(&self) -> Vec<(&'static str, &Var)> {
        match self {
            Self::Table(logits) => vec![("gamma.logits", logits)],
            Self::Network { network, .. } => network.parameters(),
        }
    }

    /// Returns the fractions after 1 ..= T − 1 steps; T is at least 2.
    pub(super) fn inner(&self) -> Result<Tensor> {
        let steps = self.steps();
        match self {
            Self::Table(logits) => {
                let shifted = logits.broadcast_sub(&logits.max_keepdim(0)?.detach())?.exp()?;
                let even = even_share(steps);
                let share = shifted
                    .broadcast_div(&shifted.sum_keepdim(0)?)?
                    .affine(1.0 - even, even / steps as f64)?;
                share.cumsum(0)?.narrow(0, 0, steps - 1)
            }
            Self::Network { network, .. } => {
                let times: Vec<f64> = (1..steps).map(|t| t as f64 / steps as f64).collect();
                network.evaluate(&times, even_share(steps))?.0.flatten_all()
            }
        }
    }
}
