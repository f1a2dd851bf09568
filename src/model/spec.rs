//! Specification of a model to be written.

use super::error::ModelError;
use crate::format::Format;
use crate::schedule::{Prediction, ScheduleError};
use alloc::string::String;
use alloc::vec::Vec;

/// One layer to be written.
#[derive(Clone, Debug)]
pub struct LayerSpec<F: Format> {
    /// Number of outputs.
    pub rows: usize,
    /// Number of inputs.
    pub columns: usize,
    /// A rectifier follows the sum.
    pub relu: bool,
    /// The input is added to the output.
    pub residual: bool,
    /// Two 4-bit weights to an entry of `weights`.
    pub packed: bool,
    /// Row-major, `rows` times [`row_len`](crate::kernel::row_len).
    pub weights: Vec<F::Weight>,
    /// `rows`, or with one row of biases per call of the network `T × rows`, and a row before them for t = 0 if the
    /// network is the decoder.
    pub biases: Vec<F::Bias>,
    /// `rows`, or empty if the format has no requantization.
    pub requant: Vec<F::Requant>,
}

/// A reverse variance that differs between dimensions; see
/// [`ReverseVariance`](crate::reverse_variance::ReverseVariance).
#[derive(Clone, Debug, PartialEq)]
pub struct VarianceSpec {
    /// `v_td` divided by the posterior's own variance at step t, `T × D`, positive.
    pub ratios: Vec<f64>,
    /// The basis U, row-major, `D × D`, orthogonal; empty for the identity.
    pub basis: Vec<f64>,
}

/// The decoder p(x | z_0) of a model to be written.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum DecoderSpec {
    /// Each dimension by itself, from z_0.
    #[default]
    Factorized,
    /// The network, run at t = 0.
    Network {
        /// Standard deviations in model units for continuous data: D of them, along the basis of the variance if it has
        /// one. Empty for levels.
        deviations: Vec<f64>,
    },
}

impl DecoderSpec {
    /// Returns whether the decoder is the network.
    pub fn is_network(&self) -> bool {
        *self != Self::Factorized
    }
}

/// The part of a model to be written that does not depend on its number format.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelHead {
    /// Quantity that the network's output estimates.
    pub prediction: Prediction,
    /// Clip x̂ to [−1, 1]; false with [`Prediction::Odds`].
    pub clip: bool,
    /// The decoder.
    pub decoder: DecoderSpec,
    /// Number of levels in 2..=256, or 0 for continuous data.
    pub levels: u16,
    /// `γ_0 ..= γ_T`, increasing.
    pub gamma: Vec<f32>,
    /// Gain of the network's output at each of these γ: a factor that the step's factor `out` contains. Empty for 1.
    pub gains: Vec<f64>,
    /// Mean per dimension of continuous data; empty for levels.
    pub mean: Vec<f32>,
    /// Scale per dimension of continuous data; empty for levels.
    pub scale: Vec<f32>,
    /// Note for the tools: what the model was made from. No runtime reads it.
    pub note: String,
    /// Power of two by which each call of the network divides the unit of hidden activations: `T` values, or `T + 1`
    /// with the network decoder, up to [`MAX_EXPONENT`](super::layout::MAX_EXPONENT); empty for none. Integer formats
    /// only.
    pub exponents: Vec<u8>,
    /// The reverse variance if it is not the posterior's own.
    pub variance: Option<VarianceSpec>,
    /// Share η of the posterior's noise that a step adds, see [`StepConstants::with_noise`]: 1 for the ancestral
    /// sampler. Below 1 the model draws samples and has no ELBO.
    ///
    /// [`StepConstants::with_noise`]: crate::schedule::StepConstants::with_noise
    pub eta: f64,
}

impl ModelHead {
    /// Number of times that a whole sample runs the network.
    pub fn calls(&self) -> usize {
        self.gamma.len().saturating_sub(usize::from(!self.decoder.is_network()))
    }
}

impl Default for ModelHead {
    /// An ancestral sampler of continuous data with v-prediction, as yet without a schedule.
    fn default() -> Self {
        Self {
            prediction: Prediction::V,
            clip: false,
            decoder: DecoderSpec::Factorized,
            levels: 0,
            gamma: Vec::new(),
            gains: Vec::new(),
            mean: Vec::new(),
            scale: Vec::new(),
            note: String::new(),
            exponents: Vec::new(),
            variance: None,
            eta: 1.0,
        }
    }
}

/// A model to be written. The tables of the schedule are not part of it: they are computed from [`ModelHead::gamma`],
/// by the one definition in [`schedule`](crate::schedule).
#[derive(Clone, Debug)]
pub struct ModelSpec<F: Format> {
    /// Everything that does not depend on the format.
    pub head: ModelHead,
    /// The layers in order; the first has D columns, the last D rows.
    pub layers: Vec<LayerSpec<F>>,
}

/// Reason why a specification makes no file.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SpecError {
    /// The list of γ is not a schedule.
    Schedule(ScheduleError),
    /// A constant of a step does not fit the number format.
    Constant {
        /// The step, in 0..=T.
        step: usize,
        /// Index of the constant in its record of eight.
        index: usize,
    },
    /// A standard deviation is so small that its rounding in the number format would falsify the noise, and with it the
    /// ELBO.
    Resolution {
        /// The step, in 0..=T: 0 for the decoder.
        step: usize,
        /// The deviation asked for.
        deviation: f64,
    },
    /// A standard deviation per dimension is too large for the number format.
    Spread {
        /// The step, in 0..=T: 0 for the decoder.
        step: usize,
        /// The deviation asked for.
        deviation: f64,
    },
    /// The decoder, the prediction and the kind of the data do not go together.
    Decoder,
    /// η is not in 0..=1, or it is below 1 although the reverse variance is not the posterior's own.
    Eta {
        /// The value.
        eta: f64,
    },
    /// A list has the wrong length.
    Size {
        /// Name of the list.
        what: &'static str,
        /// The layer that it belongs to, if any.
        layer: Option<usize>,
    },
    /// A size or a value does not fit the file's fields.
    TooLarge {
        /// Name of the size or value.
        what: &'static str,
        /// The layer that it belongs to, if any.
        layer: Option<usize>,
        /// Change that makes it fit.
        remedy: &'static str,
    },
    /// The written bytes do not parse: the layers do not fit one another.
    Rejected(ModelError),
}

impl SpecError {
    pub(super) fn size(what: &'static str) -> Self {
        Self::Size { what, layer: None }
    }

    pub(super) fn too_large(what: &'static str, remedy: &'static str) -> Self {
        Self::TooLarge {
            what,
            layer: None,
            remedy,
        }
    }

    /// Returns the error with the layer that it belongs to.
    pub(super) fn of_layer(self, index: usize) -> Self {
        let layer = Some(index);
        match self {
            Self::Size { what, .. } => Self::Size { what, layer },
            Self::TooLarge { what, remedy, .. } => Self::TooLarge { what, layer, remedy },
            other => other,
        }
    }
}

impl core::fmt::Display for SpecError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Schedule(e) => write!(f, "{e}"),
            Self::Constant { step, index } => {
                let names = ["skip", "out", "keep", "pull", "spread", "alpha", "sigma", "reserved"];
                let name = names.get(*index).copied().unwrap_or("?");
                write!(f, "step {step}: the constant `{name}` does not fit the number format")
            }
            Self::Resolution { step: 0, deviation } => write!(
                f,
                "the decoder: the standard deviation {deviation:.2e} is too small for the number format; raise gamma_0, or take a \
                 float format"
            ),
            Self::Resolution { step, deviation } => write!(
                f,
                "step {step}: the standard deviation {deviation:.2e} is too small for the number format; raise gamma_0, or take \
                 fewer steps or a float format"
            ),
            Self::Spread { step: 0, deviation } => write!(
                f,
                "the decoder: the standard deviation {deviation:.3} of a direction does not fit the number format (below 2); lower \
                 gamma_0, or take a float format"
            ),
            Self::Spread { step, deviation } => write!(
                f,
                "step {step}: the standard deviation {deviation:.3} of a direction does not fit the number format (below 2); take more \
                 steps, or a float format"
            ),
            Self::Decoder => f.write_str(
                "the network decoder of levels needs a prediction of log-odds, log-odds need levels and no clip, and \
                 deviations belong to the network decoder of continuous data",
            ),
            Self::Eta { eta } => write!(
                f,
                "eta, the share of the posterior's noise, is {eta}: it must be in 0..=1, and 1 if the model has a reverse variance of \
                 its own"
            ),
            Self::Size { what, layer: None } => write!(f, "{what} has the wrong length"),
            Self::Size { what, layer: Some(l) } => write!(f, "layer {l}: {what} has the wrong length"),
            Self::TooLarge { what, layer, remedy } => {
                if let Some(layer) = layer {
                    write!(f, "layer {layer}: ")?;
                }
                write!(f, "{what} is too large for a model file; {remedy}")
            }
            Self::Rejected(e) => write!(f, "{e}"),
        }
    }
}

impl core::error::Error for SpecError {}
