//! How γ goes from its first value to its last: which share of the way it has gone, from 0 to 1, in parameters.

use super::monotone::Monotone;
use candle_core::{DType, Device, Result, Tensor, Var};
use serde::{Deserialize, Serialize};

/// What the course is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CourseKind {
    /// T straight pieces, each with a parameter.
    #[default]
    Table,
    /// A small network that can only rise.
    Network,
}

/// The share of the way as a function of the time in [0, 1].
#[derive(Clone, Debug)]
pub(super) enum Course {
    /// `Σ_{i ≤ t} softmax(w)_i` after t of T pieces.
    Table(Var),
    Network {
        network: Monotone,
        steps: usize,
    },
}

impl Course {
    /// With even steps.
    pub(super) fn new(kind: CourseKind, steps: usize, device: &Device) -> Result<Self> {
        Ok(match kind {
            CourseKind::Table => Self::Table(Var::zeros(steps, DType::F32, device)?),
            CourseKind::Network => Self::Network {
                network: Monotone::new(device)?,
                steps,
            },
        })
    }

    pub(super) fn steps(&self) -> usize {
        match self {
            Self::Table(logits) => logits.elem_count(),
            Self::Network { steps, .. } => *steps,
        }
    }

    /// Names and values.
    pub(super) fn parameters(&self) -> Vec<(&'static str, &Var)> {
        match self {
            Self::Table(logits) => vec![("gamma.logits", logits)],
            Self::Network { network, .. } => network.parameters(),
        }
    }

    /// The shares after 1 ..= T − 1 steps; T is at least 2.
    pub(super) fn inner(&self) -> Result<Tensor> {
        let steps = self.steps();
        match self {
            Self::Table(logits) => {
                let shifted = logits.broadcast_sub(&logits.max_keepdim(0)?.detach())?.exp()?;
                let share = shifted.broadcast_div(&shifted.sum_keepdim(0)?)?;
                share.cumsum(0)?.narrow(0, 0, steps - 1)
            }
            Self::Network { network, .. } => {
                let times: Vec<f64> = (1..steps).map(|t| t as f64 / steps as f64).collect();
                network.at(&times)?.0.flatten_all()
            }
        }
    }
}
