//! The denoiser in candle: the layers of [`ancestral::mlp`], with the step's embedding not yet folded into biases.

use super::gain::GainCurve;
use super::parameter::Parameter;
use crate::fused;
use crate::fused::device::Products;
use crate::fused::index::Index;
use crate::fused::lanes::Activation;
use crate::fused::mlp::Mlp;
use crate::fused::stack::LayerShape;
use crate::rng::TrainRng;
use candle_core::{Device, Result, Tensor, Var};

/// Number of pairs of sine and cosine of γ in the input of the embedding.
const FREQUENCIES: usize = 16;
/// Divisor of γ in the input of the embedding.
const GAMMA_UNIT: f64 = 8.0;

/// Widths of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkShape {
    /// Dimensions of the data, D.
    pub dim: usize,
    /// Rows of the hidden layers.
    pub hidden: Vec<usize>,
    /// Width of the step's embedding.
    pub embedding: usize,
}

impl NetworkShape {
    /// Returns `(rows, columns)` of every layer.
    pub fn layers(&self) -> Vec<(usize, usize)> {
        let mut widths = vec![self.dim];
        widths.extend(&self.hidden);
        widths.push(self.dim);
        widths
            .iter()
            .zip(widths.iter().skip(1))
            .map(|(&columns, &rows)| (rows, columns))
            .collect()
    }

    /// Returns true if layer `index` adds its input to its output: a hidden layer as wide as the one before.
    pub fn residual(&self, index: usize) -> bool {
        index > 0 && index < self.hidden.len() && self.hidden.get(index) == self.hidden.get(index - 1)
    }

    /// Returns the rows of all layers together: the width of the bias table.
    pub fn bias_rows(&self) -> usize {
        self.layers().iter().map(|(rows, _)| rows).sum()
    }
}

/// The network.
#[derive(Clone, Debug)]
pub struct Network {
    shape: NetworkShape,
    /// Weights, a `rows × columns` matrix per layer.
    weights: Vec<Var>,
    /// Biases of all layers in one row.
    bias: Var,
    /// Weights from the features of γ to the embedding.
    embed_in: Var,
    embed_bias: Var,
    /// Weights from the embedding to its contribution to the biases of all layers.
    embed_out: Var,
    frequencies: Tensor,
    /// All layers as one operation.
    fused: Mlp,
    gains: Option<GainCurve>,
}

impl Network {
    /// A network with He's initialization, damped residual layers, and an output of zero.
    pub fn new(shape: NetworkShape, rng: &mut TrainRng, device: &Device) -> Result<Self> {
        let layers = shape.layers();
        let last = layers.len() - 1;
        let mut weights = Vec::new();
        for (index, &(rows, columns)) in layers.iter().enumerate() {
            let scale = match index {
                _ if index == last => 0.0,
                _ if shape.residual(index) => (1.0 / columns as f64).sqrt(),
                _ => (2.0 / columns as f64).sqrt(),
            };
            weights.push(Var::from_tensor(&(rng.normals(rows, columns, device)? * scale)?)?);
        }
        let features = 2 * FREQUENCIES + 1;
        let embed_in = (rng.normals(features, shape.embedding, device)? * (1.0 / features as f64).sqrt())?;
        let frequencies: Vec<f32> = (0..FREQUENCIES).map(|k| 0.5 * 1.35f32.powi(k as i32)).collect();
        let layer = |(index, &(rows, columns))| LayerShape {
            rows,
            columns,
            residual: shape.residual(index),
        };
        Ok(Self {
            fused: Mlp::new(layers.iter().enumerate().map(layer).collect(), Activation::Relu)?,
            weights,
            bias: Var::zeros((1, shape.bias_rows()), candle_core::DType::F32, device)?,
            embed_in: Var::from_tensor(&embed_in)?,
            embed_bias: Var::zeros((1, shape.embedding), candle_core::DType::F32, device)?,
            embed_out: Var::zeros((shape.embedding, shape.bias_rows()), candle_core::DType::F32, device)?,
            frequencies: Tensor::from_vec(frequencies, (1, FREQUENCIES), device)?,
            shape,
            gains: None,
        })
    }

    /// Sets the arithmetic of matrix products on a GPU.
    pub fn set_products(&mut self, products: Products) {
        self.fused.set_products(products);
    }

    /// Sets the gains of the output. A network that is being trained has none.
    pub fn set_gains(&mut self, gains: Option<GainCurve>) {
        self.gains = gains;
    }

    /// Returns the gains of the output, if it has any.
    pub fn gains(&self) -> Option<&GainCurve> {
        self.gains.as_ref()
    }

    /// Returns an output with its gain.
    ///
    /// * `f`: as [`Self::forward`] and its variants return it, `(n, D)`;
    /// * `gamma`: γ of each row, `(n, 1)`.
    pub fn with_gain(&self, f: Tensor, gamma: &Tensor) -> Result<Tensor> {
        match &self.gains {
            None => Ok(f),
            Some(gains) => f.broadcast_mul(&gains.of_rows(gamma)?),
        }
    }

    /// Returns what the read-out reads: the output at γ with its gain.
    ///
    /// * `z`: `(n, D)`;
    /// * `gamma`: γ of each row, `(n, 1)`.
    pub fn output(&self, z: &Tensor, gamma: &Tensor) -> Result<Tensor> {
        self.with_gain(self.forward(z, &self.biases(gamma)?)?, gamma)
    }

    /// Returns the widths.
    pub fn shape(&self) -> &NetworkShape {
        &self.shape
    }

    /// Returns all parameters in a fixed order.
    pub fn parameters(&self) -> Vec<Parameter> {
        let mut list: Vec<Parameter> = self
            .weights
            .iter()
            .enumerate()
            .map(|(index, var)| Parameter {
                name: format!("layer{index}.weight"),
                var: var.clone(),
                decays: true,
            })
            .collect();
        for (name, var) in [
            ("bias", &self.bias),
            ("embed.in", &self.embed_in),
            ("embed.bias", &self.embed_bias),
            ("embed.out", &self.embed_out),
        ] {
            list.push(Parameter {
                name: name.to_owned(),
                var: var.clone(),
                decays: false,
            });
        }
        list
    }

    /// Returns the biases of all layers at each γ: `(n, 1)` → `(n, bias_rows)`. Export writes this table into the file.
    pub fn biases(&self, gamma: &Tensor) -> Result<Tensor> {
        let unit = (gamma / GAMMA_UNIT)?;
        let phase = unit
            .broadcast_mul(&self.frequencies)?
            .affine(std::f64::consts::PI, 0.0)?;
        let features = Tensor::cat(&[&unit, &phase.sin()?, &phase.cos()?], 1)?;
        let hidden = features.matmul(&self.embed_in)?.broadcast_add(&self.embed_bias)?;
        let hidden = (&hidden * candle_nn::ops::sigmoid(&hidden)?)?;
        hidden.matmul(&self.embed_out)?.broadcast_add(&self.bias)
    }

    /// Returns the output `f` for a batch, without its gain: `z` is `(n, D)`, `biases` is `(n, bias_rows)`.
    pub fn forward(&self, z: &Tensor, biases: &Tensor) -> Result<Tensor> {
        self.forward_masked(z, biases, &[])
    }

    /// Returns the output with dropout: a mask of `(n, rows)` multiplies the activation of each hidden layer. Without
    /// masks, this is [`Self::forward`].
    pub fn forward_masked(&self, z: &Tensor, biases: &Tensor, masks: &[Tensor]) -> Result<Tensor> {
        if fused::serves(z.device()) {
            let own: Vec<u32> = (0..z.dim(0)? as u32).collect();
            return self.forward_fused(z, biases, own.into(), masks);
        }
        self.forward_plain(z, biases, masks)
    }

    /// Returns the same output, computed by one fused operation.
    ///
    /// * `biases`: `(k, bias_rows)`;
    /// * `index`: the row of `biases` for each row of `z`.
    pub fn forward_fused(&self, z: &Tensor, biases: &Tensor, index: Index, masks: &[Tensor]) -> Result<Tensor> {
        let flat: Vec<Tensor> = self.weights.iter().map(|w| w.flatten_all()).collect::<Result<_>>()?;
        self.fused.forward(z, &Tensor::cat(&flat, 0)?, biases, index, masks)
    }

    /// Returns the same output, computed by candle's own operations. Other devices use them, and they are the reference
    /// for the fused operation.
    pub fn forward_plain(&self, z: &Tensor, biases: &Tensor, masks: &[Tensor]) -> Result<Tensor> {
        let mut h = z.clone();
        let mut first_row = 0;
        let last = self.weights.len() - 1;
        for (index, weight) in self.weights.iter().enumerate() {
            let rows = weight.dim(0)?;
            let sum = (h.matmul(&weight.t()?)? + biases.narrow(1, first_row, rows)?)?;
            if index == last {
                return Ok(sum);
            }
            let mut y = sum.relu()?;
            if let Some(mask) = masks.get(index) {
                y = (y * mask)?;
            }
            h = if self.shape.residual(index) { (h + y)? } else { y };
            first_row += rows;
        }
        Ok(h)
    }

    /// Returns the weight matrices, row-major.
    pub fn weights(&self) -> Result<Vec<Vec<f32>>> {
        self.weights.iter().map(|w| w.flatten_all()?.to_vec1()).collect()
    }
}
