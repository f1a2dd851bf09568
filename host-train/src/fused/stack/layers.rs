//! The layers of a network, and the places of their parameters.

use crate::fused::lanes::Activation;

/// Sizes of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerShape {
    /// Number of outputs.
    pub rows: usize,
    /// Number of inputs.
    pub columns: usize,
    /// True if its input is added to its output.
    pub residual: bool,
}

/// A layer and the places of its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerPlace {
    /// Its sizes.
    pub layer: LayerShape,
    /// Position of its first weight among all weights.
    pub weight: usize,
    /// Its first column in the table of biases.
    pub bias: usize,
}

/// The layers, the last of them linear.
///
/// Their weights lie in one slice, `rows × columns` each, one after another; their biases side by side in the rows of a
/// table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    layers: Vec<LayerShape>,
    activation: Activation,
}

impl Stack {
    /// Checks that every layer takes what the one before gives, that only hidden layers of equal widths are residual,
    /// and that no width is 0.
    pub fn new(layers: Vec<LayerShape>, activation: Activation) -> Result<Self, String> {
        if layers.is_empty() {
            return Err("a network needs at least one layer".into());
        }
        let last = layers.len() - 1;
        for (i, layer) in layers.iter().enumerate() {
            if layer.rows == 0 || layer.columns == 0 {
                return Err(format!("layer {i} has no rows or no columns"));
            }
            if i > 0 && layers[i - 1].rows != layer.columns {
                return Err(format!("layer {i} does not take what the one before gives"));
            }
            if layer.residual && (i == last || layer.rows != layer.columns) {
                return Err(format!("layer {i} cannot be residual"));
            }
        }
        Ok(Self { layers, activation })
    }

    /// Number of inputs of the first layer.
    pub fn inputs(&self) -> usize {
        self.layers[0].columns
    }

    /// Number of outputs of the last layer.
    pub fn outputs(&self) -> usize {
        self.layers[self.layers.len() - 1].rows
    }

    /// Number of weights of all layers.
    pub fn weights(&self) -> usize {
        self.layers.iter().map(|l| l.rows * l.columns).sum()
    }

    /// Columns of the table of biases.
    pub fn bias_rows(&self) -> usize {
        self.layers.iter().map(|l| l.rows).sum()
    }

    /// Rows of the hidden layers.
    pub fn hidden(&self) -> Vec<usize> {
        let last = self.layers.len() - 1;
        self.layers[..last].iter().map(|l| l.rows).collect()
    }

    /// Activation of the hidden layers.
    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// Each layer with the places of its parameters.
    pub fn places(&self) -> Vec<LayerPlace> {
        let (mut weight, mut bias) = (0, 0);
        let place = |&layer: &LayerShape| {
            let place = LayerPlace { layer, weight, bias };
            weight += layer.rows * layer.columns;
            bias += layer.rows;
            place
        };
        self.layers.iter().map(place).collect()
    }
}
