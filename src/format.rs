//! The number formats, each a type: [`F32`](crate::F32), [`W8A16`](crate::W8A16).
//!
//! A format says what a weight, a bias and an activation are and how one layer's products are made. The sampler, the ELBO
//! and the walk through the layers are written once over [`Format`].

use crate::model::Layer;
use crate::number::Number;

/// The code of a format in a model file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
#[repr(u8)]
pub enum FormatId {
    /// `f32` weights and activations.
    F32 = 0,
    /// `i8` weights, `i16` activations.
    W8A16 = 2,
}

impl FormatId {
    /// Every format of this version.
    pub const ALL: &'static [FormatId] = &[FormatId::F32, FormatId::W8A16];

    /// The format with this code.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::F32),
            2 => Some(Self::W8A16),
            _ => None,
        }
    }

    /// The name in file names, on the command line and in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::W8A16 => "w8a16",
        }
    }
}

impl core::fmt::Display for FormatId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

/// A number format of the network.
pub trait Format: Copy + 'static {
    /// Its code in a model file.
    const ID: FormatId;
    /// Whether a layer has a [`Requant`](crate::fixed::Requant) for every row.
    const REQUANTISED: bool;
    /// What states, estimates and activations are made of.
    type Number: Number;
    /// One weight, as it lies in the file.
    type Weight: bytemuck::Pod + core::fmt::Debug;
    /// One bias, in the accumulator's unit.
    type Bias: bytemuck::Pod + core::fmt::Debug;

    /// `emit(row, Σ_c weight[row][c]·input[c] + bias[row])` for every row, in the unit of the layer's output, rounded once.
    ///
    /// * `bias`: the layer's biases of one step, as long as the layer has rows;
    /// * `input`: as long as the layer has columns.
    fn linear(
        layer: &Layer<'_, Self>,
        bias: &[Self::Bias],
        input: &[Self::Number],
        emit: impl FnMut(usize, Self::Number),
    );
}
