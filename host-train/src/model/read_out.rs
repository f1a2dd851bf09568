//! From the network's output to an estimate of the data, and to the distribution of a level.
//!
//! Everything here is candle's own operations, with gradients by all tensors and in `f32` or `f64`. They are the
//! reference for the fused operations.

use ancestral::levels;
use ancestral::schedule::Prediction;
use candle_core::{Result, Tensor};

pub use crate::fused::read_out::ReadOut;

impl ReadOut {
    /// Returns the estimate x̂, `(n, D)`.
    ///
    /// * `z`, `f`: the state and the network's output, `(n, D)` each;
    /// * `gamma`: γ of each row, `(n, 1)`.
    pub fn estimate(&self, z: &Tensor, f: &Tensor, gamma: &Tensor) -> Result<Tensor> {
        let estimate = match self.prediction {
            Prediction::V => (z.broadcast_mul(&alpha(gamma)?)? - f.broadcast_mul(&alpha(&gamma.neg()?)?)?)?,
            Prediction::X => f.clone(),
            Prediction::Odds { levels } => Posterior::new(levels, z, f, gamma)?.mean()?,
        };
        if self.clip {
            estimate.clamp(-1.0, 1.0)
        } else {
            Ok(estimate)
        }
    }

    /// Returns `−ln p(x | z)` of levels in nats, `(n, 1)`.
    ///
    /// * `x`: the levels in model units, `(n, D)`; other arguments as for [`Self::estimate`].
    ///
    /// # Errors
    /// Fails unless the network predicts odds.
    pub fn level_nats(&self, x: &Tensor, z: &Tensor, f: &Tensor, gamma: &Tensor) -> Result<Tensor> {
        match self.prediction {
            Prediction::Odds { levels } => Posterior::new(levels, z, f, gamma)?.nats(x)?.sum_keepdim(1),
            Prediction::V | Prediction::X => candle_core::bail!("the network decodes levels only from odds"),
        }
    }
}

/// Returns `α = √sigmoid(−γ)`; of −γ it is σ.
fn alpha(gamma: &Tensor) -> Result<Tensor> {
    candle_nn::ops::sigmoid(&gamma.neg()?)?.sqrt()
}

/// The weights of all levels relative to the largest, `(n, D, K)`.
struct Posterior {
    /// Level of the largest weight, `(n, D, 1)`, without a gradient.
    nearest: Tensor,
    /// Distance of each level from it.
    apart: Tensor,
    weights: Tensor,
    /// Sums of the weights, `(n, D, 1)`.
    totals: Tensor,
    /// `∂ ln w/∂l` at the nearest level, `(n, D, 1)`.
    slope: Tensor,
    /// `(n, 1, 1)`.
    snr: Tensor,
}

impl Posterior {
    /// Weights by `ln w_k − ln w_j = (l_k − l_j)(slope − ½ SNR (l_k − l_j))` with `slope = η − SNR l_j`: the terms are
    /// small near the level j of the largest weight.
    fn new(levels: u16, z: &Tensor, f: &Tensor, gamma: &Tensor) -> Result<Self> {
        let spacing: f64 = levels::spacing(levels);
        let values: Vec<f64> = (0..levels).map(|k| levels::value(levels, k)).collect();
        let values = Tensor::new(values, z.device())?.to_dtype(z.dtype())?;
        let values = values.reshape((1, 1, usize::from(levels)))?;
        let snr = gamma.neg()?.exp()?;
        let own = z.broadcast_div(&alpha(gamma)?)?;
        let other = (f / spacing)?;
        let place = (&own + other.broadcast_div(&snr)?)?.detach();
        let index = place
            .affine(1.0 / spacing, 1.0 / spacing)?
            .round()?
            .clamp(0.0, f64::from(levels) - 1.0)?;
        let nearest = index.affine(spacing, -1.0)?;
        let slope = ((own - &nearest)?.broadcast_mul(&snr)? + other)?.unsqueeze(2)?;
        let (nearest, snr) = (nearest.unsqueeze(2)?, snr.unsqueeze(2)?);
        let apart = values.broadcast_sub(&nearest)?;
        let bend = apart.broadcast_mul(&snr)?.affine(-0.5, 0.0)?;
        let weights = (&apart * bend.broadcast_add(&slope)?)?.exp()?;
        Ok(Self {
            totals: weights.sum_keepdim(2)?,
            nearest,
            apart,
            weights,
            slope,
            snr,
        })
    }

    /// Returns `⟨l⟩`, `(n, D)`.
    fn mean(&self) -> Result<Tensor> {
        let moved = (&self.weights * &self.apart)?.sum_keepdim(2)?;
        ((moved / &self.totals)? + &self.nearest)?.squeeze(2)
    }

    /// Returns `ln Σ w − ln w_x`, `(n, D)`.
    fn nats(&self, x: &Tensor) -> Result<Tensor> {
        let off = (x.unsqueeze(2)? - &self.nearest)?;
        let bend = off.broadcast_mul(&self.snr)?.affine(-0.5, 0.0)?;
        let own = (off * (bend + &self.slope)?)?;
        (self.totals.log()? - own)?.squeeze(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ancestral::schedule;
    use candle_core::{DType, Device, Var};

    const GAMMAS: [f64; 4] = [-8.0, -3.0, 0.5, 6.0];
    const DIM: usize = 3;

    /// States near levels, and outputs of all sizes.
    fn case(dtype: DType) -> [Tensor; 4] {
        let n = GAMMAS.len() * DIM;
        let numbers = |f: &dyn Fn(usize) -> f64, columns: usize| {
            let values: Vec<f64> = (0..GAMMAS.len() * columns).map(f).collect();
            Tensor::from_vec(values, (GAMMAS.len(), columns), &Device::Cpu)
                .unwrap()
                .to_dtype(dtype)
                .unwrap()
        };
        let x = numbers(&|i| levels::value(17, (i * 5 % 17) as u16), DIM);
        let z = numbers(
            &|i| {
                let gamma = GAMMAS[i / DIM];
                let noise = (i as f64 * 1.3).sin() * 1.5;
                schedule::alpha(gamma) * levels::value::<f64>(17, (i * 5 % 17) as u16) + schedule::sigma(gamma) * noise
            },
            DIM,
        );
        let f = numbers(&|i| 2.0 * (i as f64 * 0.7).cos() - 3.0 * f64::from(i == n - 1), DIM);
        [x, z, f, numbers(&|i| GAMMAS[i], 1)]
    }

    fn wide(tensor: &Tensor) -> Vec<f64> {
        tensor
            .to_dtype(DType::F64)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1()
            .unwrap()
    }

    #[test]
    fn odds_are_read_out_as_in_the_core() {
        let read_out = ReadOut {
            prediction: Prediction::Odds { levels: 17 },
            clip: false,
        };
        for (dtype, allowed) in [(DType::F64, 1e-10), (DType::F32, 2e-4)] {
            let [x, z, f, gamma] = case(dtype);
            let estimates = wide(&read_out.estimate(&z, &f, &gamma).unwrap());
            let nats = wide(&read_out.level_nats(&x, &z, &f, &gamma).unwrap());
            let (z, f) = (wide(&z), wide(&f));
            let spacing: f64 = levels::spacing(17);
            for (row, gamma) in GAMMAS.into_iter().enumerate() {
                let snr = schedule::snr(gamma);
                let mut sum = 0.0;
                for i in row * DIM..(row + 1) * DIM {
                    let eta = snr / schedule::alpha(gamma) * z[i] + f[i] / spacing;
                    let expected = levels::posterior(17, eta, snr).mean;
                    assert!((estimates[i] - expected).abs() < allowed, "{} {expected}", estimates[i]);
                    sum += levels::level_nats(17, (i * 5 % 17) as u16, eta, snr);
                }
                assert!((nats[row] - sum).abs() < allowed * (1.0 + sum), "{} {sum}", nats[row]);
            }
        }
    }

    #[test]
    fn a_clipped_estimate_has_no_gradient() {
        let [_, z, _, gamma] = case(DType::F64);
        let values: Vec<f64> = (0..GAMMAS.len() * DIM).map(|i| [0.3, 1.5, -2.0][i % 3]).collect();
        let f = Var::from_vec(values, (GAMMAS.len(), DIM), &Device::Cpu).unwrap();
        let read_out = ReadOut {
            prediction: Prediction::X,
            clip: true,
        };
        let estimate = read_out.estimate(&z, &f, &gamma).unwrap();
        assert_eq!(wide(&estimate)[..3], [0.3, 1.0, -1.0]);
        let gradients = estimate.sum_all().unwrap().backward().unwrap();
        assert_eq!(wide(gradients.get(&f).unwrap())[..3], [1.0, 0.0, 0.0]);
    }

    #[test]
    fn values_have_no_levels_to_decode() {
        let [x, z, f, gamma] = case(DType::F64);
        let read_out = ReadOut {
            prediction: Prediction::V,
            clip: false,
        };
        let error = read_out.level_nats(&x, &z, &f, &gamma).unwrap_err();
        assert!(error.to_string().contains("only from odds"), "{error}");
    }
}
