//! The quantity that training minimizes.

use crate::model::gamma::GammaTable;
use crate::model::network::Network;
use crate::model::read_out::ReadOut;
use crate::model::variance::VarianceTable;
use crate::train::config::DecoderKind;

/// The negative ELBO of a model: its parts, and how its output and its data are read.
///
/// [`Self::elbo`] and [`Self::row_nats`] are those of the chain of T steps. [`Self::limit_elbo`] and
/// [`Self::limit_row_nats`] are those of infinitely many steps.
#[derive(Clone, Copy)]
pub struct Objective<'a> {
    /// The network.
    pub network: &'a Network,
    /// The schedule.
    pub gamma: &'a GammaTable,
    /// The reverse variances, or `None` for those of the posterior.
    pub variance: Option<&'a VarianceTable>,
    /// From the network's output to an estimate.
    pub read_out: ReadOut,
    /// Kind of p(x | z_0).
    pub decoder: DecoderKind,
    /// Levels of discretized data. With `None` the decoder is Gaussian, and its nats are those of model units.
    pub levels: Option<u16>,
}
