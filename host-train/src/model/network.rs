//! The denoiser in candle: the same layers as [`ancestral::mlp`], with the step's embedding not yet folded into biases.

use super::parameter::Parameter;
use crate::fused;
use crate::fused::device::Products;
use crate::fused::index::Index;
use crate::fused::lanes::Activation;
use crate::fused::mlp::Mlp;
use crate::fused::stack::LayerShape;
use crate::rng::TrainRng;
use candle_core::{Device, Result, Tensor, Var};

/// Pairs of sine and cosine that show γ to the embedding.
const FREQUENCIES: usize = 16;
/// γ is shown to the embedding divided by this.
const GAMMA_UNIT: f64 = 8.0;

/// Widths of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// D.
    pub dim: usize,
    /// Rows of the hidden layers.
    pub hidden: Vec<usize>,
    /// Width of the step's embedding.
    pub embedding: usize,
}

impl Shape {
    /// `(rows, columns)` of every layer.
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

    /// Whether layer `index` adds its input to its output: a hidden layer that is as wide as the one before.
    pub fn residual(&self, index: usize) -> bool {
        index > 0 && index < self.hidden.len() && self.hidden.get(index) == self.hidden.get(index - 1)
    }

    /// Rows of all layers together: the width of the bias table.
    pub fn bias_rows(&self) -> usize {
        self.layers().iter().map(|(rows, _)| rows).sum()
    }
}

/// The network.
#[derive(Clone, Debug)]
pub struct Network {
    shape: Shape,
    /// One `rows × columns` matrix per layer.
    weights: Vec<Var>,
    /// All layers' biases, one row.
    bias: Var,
    /// γ features → embedding.
    embed_in: Var,
    embed_bias: Var,
    /// Embedding → what the step adds to the biases of all layers.
    embed_out: Var,
    frequencies: Tensor,
    /// All layers as one operation.
    fused: Mlp,
}

impl Network {
    /// With He's initialisation, residual layers damped, and an output of zero.
    pub fn new(shape: Shape, rng: &mut TrainRng, device: &Device) -> Result<Self> {
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
        })
    }

    /// Multiplies like this on a GPU.
    pub fn set_products(&mut self, products: Products) {
        self.fused.set_products(products);
    }

    /// Widths.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Every parameter, in a fixed order.
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

    /// The biases of all layers at each γ: `(n, 1)` → `(n, bias_rows)`. This is the table that export folds into the file.
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

    /// The output `f` for a batch: `z` is `(n, D)`, `biases` is `(n, bias_rows)`.
    pub fn forward(&self, z: &Tensor, biases: &Tensor) -> Result<Tensor> {
        self.forward_masked(z, biases, &[])
    }

    /// [`Self::forward`] with what each hidden layer adds multiplied by a mask of `(n, rows)`; no masks for none. What dropout does.
    pub fn forward_masked(&self, z: &Tensor, biases: &Tensor, masks: &[Tensor]) -> Result<Tensor> {
        if fused::serves(z.device()) {
            let own: Vec<u32> = (0..z.dim(0)? as u32).collect();
            return self.forward_fused(z, biases, own.into(), masks);
        }
        self.forward_plain(z, biases, masks)
    }

    /// The same as one operation.
    ///
    /// * `biases`: `(k, bias_rows)`;
    /// * `index`: row of `biases` for each row of `z`.
    pub fn forward_fused(&self, z: &Tensor, biases: &Tensor, index: Index, masks: &[Tensor]) -> Result<Tensor> {
        let flat: Vec<Tensor> = self.weights.iter().map(|w| w.flatten_all()).collect::<Result<_>>()?;
        self.fused.forward(z, &Tensor::cat(&flat, 0)?, biases, index, masks)
    }

    /// The same from candle's own operations: what the fused one is tested against, and what other devices run.
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

    /// The weight matrices, row-major.
    pub fn weights(&self) -> Result<Vec<Vec<f32>>> {
        self.weights.iter().map(|w| w.flatten_all()?.to_vec1()).collect()
    }
}
