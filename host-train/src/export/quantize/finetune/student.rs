//! The integer network in training.

use super::batch::StateBatch;
use super::operations::{Requantize, RoundStraightThrough};
use crate::export::quantize::formats::IntegerFormat;
use crate::export::quantize::integers::{STATE_UNIT, ScaledLayer, ScaledNetwork, weight_range};
use anyhow::{Context, Result};
use candle_core::{Device, Tensor, Var};

/// The integer network with trainable parameters.
pub struct Student<F: IntegerFormat> {
    hidden: Var,
    exponents: Vec<u8>,
    odds: bool,
    layers: Vec<StudentLayer>,
    format: std::marker::PhantomData<F>,
}

struct StudentLayer {
    shape: ScaledLayer,
    /// Weights, `(rows, columns)`.
    weights: Var,
    /// Logarithms of the rows' units, `(rows, 1)`.
    units: Var,
    /// Biases, `(1 or calls, rows)`.
    biases: Var,
}

impl<F: IntegerFormat> Student<F> {
    /// Takes up the parameters of a calibrated network.
    pub fn new(network: &ScaledNetwork, device: &Device) -> Result<Self> {
        let layers = network.layers.iter().map(|layer| -> Result<_> {
            let units: Vec<f64> = layer.units.iter().map(|u| u.ln()).collect();
            let entries = layer.biases.len() / layer.rows;
            Ok(StudentLayer {
                weights: Var::from_slice(&layer.weights, (layer.rows, layer.columns), device)?,
                units: Var::from_slice(&units, (layer.rows, 1), device)?,
                biases: Var::from_slice(&layer.biases, (entries, layer.rows), device)?,
                shape: ScaledLayer {
                    weights: Vec::new(),
                    units: Vec::new(),
                    biases: Vec::new(),
                    ..layer.clone()
                },
            })
        });
        Ok(Self {
            hidden: Var::from_slice(&[network.hidden_unit.ln()], (1, 1), device)?,
            exponents: network.exponents.clone(),
            odds: network.odds,
            layers: layers.collect::<Result<_>>()?,
            format: std::marker::PhantomData,
        })
    }

    pub(super) fn parameters(&self) -> Vec<Var> {
        let of_layer = |l: &StudentLayer| [l.weights.clone(), l.biases.clone(), l.units.clone()];
        let layers = self.layers.iter().flat_map(of_layer);
        layers.chain([self.hidden.clone()]).collect()
    }

    /// Returns the parameters in real units.
    pub fn network(&self) -> Result<ScaledNetwork> {
        let values = |t: &Tensor| -> Result<Vec<f64>> { Ok(t.flatten_all()?.to_vec1()?) };
        let layers = self.layers.iter().map(|layer| -> Result<_> {
            Ok(ScaledLayer {
                weights: values(&layer.weights)?,
                units: values(&layer.units.exp()?)?,
                biases: values(&layer.biases)?,
                ..layer.shape.clone()
            })
        });
        Ok(ScaledNetwork {
            hidden_unit: values(&self.hidden.exp()?)?.first().copied().context("no unit")?,
            exponents: self.exponents.clone(),
            layers: layers.collect::<Result<_>>()?,
            odds: self.odds,
        })
    }

    /// Returns the exponent, to base 2, of the factors of layer `index` at a call of the network.
    fn exponent(&self, index: usize, call: usize) -> i32 {
        let exponent = i32::from(self.exponents.get(call).copied().unwrap_or(0));
        exponent * (i32::from(index + 1 != self.layers.len()) - i32::from(index != 0))
    }

    /// Computes the output f, `(n, D)`, in units of the state: the integers that the core computes.
    pub fn forward(&self, batch: &StateBatch) -> Result<Tensor> {
        let network = self.network()?;
        let integers = network.to_integers::<F>()?;
        let hidden = self.hidden.exp()?;
        // Divisor of the hidden unit at each state's call, `(n, 1)`.
        let shrink: Vec<f64> = batch.calls.iter().map(|&call| network.shrink(call)).collect();
        let shrink = Tensor::from_vec(shrink, (batch.calls.len(), 1), batch.z.device())?;
        let mut h = batch.z.clone();
        for (index, (layer, spec)) in self.layers.iter().zip(integers.layers).enumerate() {
            let (low, high) = weight_range(layer.shape.bits);
            let units = layer.units.exp()?;
            let weights = layer
                .weights
                .broadcast_div(&units)?
                .apply_op1(RoundStraightThrough { low, high })?;
            let sum = h.matmul(&weights.t()?)?;
            let last = index + 1 == self.layers.len();
            // Units of the output in one unit of the sum, as a row.
            let mut factor = units.t()?;
            factor = if index == 0 {
                (factor * STATE_UNIT)?
            } else {
                factor.broadcast_mul(&hidden)?
            };
            let mut biases = layer.biases.as_tensor().clone();
            if last {
                factor = (factor / STATE_UNIT)?;
                biases = (biases / STATE_UNIT)?;
            } else {
                factor = factor.broadcast_div(&hidden)?;
                biases = biases.broadcast_div(&hidden)?;
            }
            let mut biases = if biases.dim(0)? == 1 {
                biases.broadcast_as(sum.shape())?.contiguous()?
            } else {
                biases.index_select(&batch.row, 0)?
            };
            if !last {
                biases = biases.broadcast_mul(&shrink)?;
            }
            let scale = match (index == 0, last) {
                (true, false) => Some(shrink.clone()),
                (false, true) => Some(shrink.recip()?),
                _ => None,
            };
            let (.., most) = network.edge_units::<F>(index);
            let residual = spec.residual;
            let y = sum.apply_op3(
                &biases,
                &factor.contiguous()?,
                Requantize::<F> {
                    spec,
                    exponents: batch.calls.iter().map(|&call| self.exponent(index, call)).collect(),
                    calls: batch.calls.clone(),
                    scale,
                    last,
                    most,
                },
            )?;
            h = if residual {
                // The core's saturating addition.
                (h + y)?.apply_op1(RoundStraightThrough { low: -most, high: most })?
            } else {
                y
            };
        }
        Ok(h)
    }
}
