//! A monotone function on [0, 1] that rises from 0 to 1 (Kingma et al. 2021, appendix H). It is a line and a sum of
//! sigmoids with positive factors, shifted and scaled to its ends.
//!
//! Its slope is computed by a formula: it is part of the loss, and candle has no gradient of a gradient.

use candle_core::{Device, Result, Tensor, Var};

/// Number of sigmoids. Kingma et al. use 1024. As many as steps are enough, and every row of a batch computes them all.
const HIDDEN: usize = 64;
/// Initial width of a sigmoid, as a fraction of the distance between the centers of the first and the last.
const WIDTH: f64 = 0.03;

/// `l(u) + l₃(φ(l₂(l(u))))`, before it is shifted and scaled. The biases of l and l₃ would be lost in that.
#[derive(Clone, Debug)]
pub(super) struct Monotone {
    /// Logarithm of l's factor.
    line: Var,
    /// Logarithms of l₂'s factors.
    inner: Var,
    /// l₂'s biases.
    bias: Var,
    /// Logarithms of l₃'s factors.
    outer: Var,
}

impl Monotone {
    /// A function that is nearly a straight line, with evenly spread sigmoids.
    pub(super) fn new(device: &Device) -> Result<Self> {
        let row = |value: &dyn Fn(f64) -> f64| {
            let values: Vec<f32> = (0..HIDDEN)
                .map(|j| value((j as f64 + 0.5) / HIDDEN as f64) as f32)
                .collect();
            Var::from_tensor(&Tensor::from_vec(values, (1, HIDDEN), device)?)
        };
        let factor = 1.0 / WIDTH;
        Ok(Self {
            line: Var::zeros((1, 1), candle_core::DType::F32, device)?,
            inner: row(&|_| factor.ln())?,
            bias: row(&|center| -factor * center)?,
            outer: row(&|_| -(HIDDEN as f64).ln())?,
        })
    }

    /// Returns the parameters with their names.
    pub(super) fn parameters(&self) -> Vec<(&'static str, &Var)> {
        vec![
            ("gamma.line", &self.line),
            ("gamma.inner", &self.inner),
            ("gamma.bias", &self.bias),
            ("gamma.outer", &self.outer),
        ]
    }

    /// Returns values and slopes at n times, `(n, 1)` each, with gradients.
    ///
    /// * `even`: share of a straight line in the result, so that it rises everywhere.
    pub(super) fn evaluate(&self, times: &[f64], even: f64) -> Result<(Tensor, Tensor)> {
        let device = self.line.device();
        // The ends are computed with the rest.
        let all: Vec<f32> = [0.0, 1.0].iter().chain(times).map(|u| *u as f32).collect();
        let all = Tensor::from_vec(all, (times.len() + 2, 1), device)?;
        let (factor, inner, outer) = (self.line.exp()?, self.inner.exp()?, self.outer.exp()?);
        let line = all.broadcast_mul(&factor)?;
        let sigmoid = candle_nn::ops::sigmoid(&line.broadcast_mul(&inner)?.broadcast_add(&self.bias)?)?;
        // Differences of sigmoids, because their sum may be far larger than its rise.
        let bend = sigmoid.broadcast_sub(&sigmoid.narrow(0, 0, 1)?)?;
        let value = (&line + bend.broadcast_mul(&outer)?.sum_keepdim(1)?)?;
        let rise = value.narrow(0, 1, 1)?;
        let own = |tensor: &Tensor| tensor.narrow(0, 2, times.len());
        let straight = own(&all)?;
        let share = own(&value)?.broadcast_div(&rise)?;
        // φ' = φ (1 − φ), and by the chain rule l₂'s factor, l₃'s and l's.
        let sigmoid = own(&sigmoid)?;
        let bent = (&sigmoid * sigmoid.affine(-1.0, 1.0)?)?;
        let slope = bent
            .broadcast_mul(&(inner * outer)?)?
            .sum_keepdim(1)?
            .affine(1.0, 1.0)?;
        let slope = slope.broadcast_mul(&factor)?.broadcast_div(&rise)?;
        Ok((
            (share.affine(1.0 - even, 0.0)? + (straight * even)?)?,
            slope.affine(1.0 - even, even)?,
        ))
    }
}
