//! The gain: a factor of the network's output that depends on γ.
//!
//! On rows that it has not seen, a network that was trained on few is too sure. Its output is too large, and by how
//! much differs with the noise. One number for each call of the network sets that right. It costs a device nothing,
//! because it is part of the step's factor of the output.

use anyhow::{Result, ensure};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// Least gain.
pub const LEAST_GAIN: f64 = 0.5;
/// Largest gain: with more the factor of the output might exceed one, which is the most that an integer format holds.
pub const LARGEST_GAIN: f64 = 1.0;

/// Gains over γ, linear between points and constant beyond them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GainCurve {
    gamma: Vec<f64>,
    gains: Vec<f64>,
}

impl GainCurve {
    /// * `points`: γ, increasing, and the gain there.
    ///
    /// # Errors
    /// Fails if there is no point, if γ does not increase, or if a gain is out of range.
    pub fn new(points: &[(f64, f64)]) -> Result<Self> {
        let (gamma, gains): (Vec<f64>, Vec<f64>) = points.iter().copied().unzip();
        let curve = Self { gamma, gains };
        curve.check()?;
        Ok(curve)
    }

    /// Checks a curve that was read from a file.
    pub fn check(&self) -> Result<()> {
        let increases = self.gamma.is_sorted_by(|a, b| a < b) && self.gamma.iter().all(|g| g.is_finite());
        ensure!(
            increases && !self.gamma.is_empty() && self.gamma.len() == self.gains.len(),
            "the gains need one increasing gamma each, and at least one"
        );
        if let Some(gain) = self.gains.iter().find(|g| !(LEAST_GAIN..=LARGEST_GAIN).contains(*g)) {
            anyhow::bail!("a gain is {gain}: it must be in {LEAST_GAIN} to {LARGEST_GAIN}");
        }
        Ok(())
    }

    /// Returns the gain at a γ.
    pub fn interpolate(&self, gamma: f64) -> f64 {
        let after = self.gamma.partition_point(|&g| g <= gamma);
        let point = |index: usize| self.gamma.get(index).copied().zip(self.gains.get(index).copied());
        match (after.checked_sub(1).and_then(point), point(after)) {
            (Some((low, a)), Some((high, b))) => a + (b - a) * (gamma - low) / (high - low),
            (Some((_, gain)), None) | (None, Some((_, gain))) => gain,
            (None, None) => LARGEST_GAIN,
        }
    }

    /// Returns the gain of each row, in the shape and on the device of `gamma`.
    pub fn of_rows(&self, gamma: &Tensor) -> candle_core::Result<Tensor> {
        let values: Vec<f32> = gamma.flatten_all()?.to_vec1()?;
        let gains: Vec<f32> = values.iter().map(|&g| self.interpolate(f64::from(g)) as f32).collect();
        Tensor::from_vec(gains, gamma.shape(), gamma.device())
    }

    /// Returns the least and the largest gain.
    pub fn range(&self) -> (f64, f64) {
        let fold = |start: f64, pick: fn(f64, f64) -> f64| self.gains.iter().copied().fold(start, pick);
        (fold(f64::INFINITY, f64::min), fold(f64::NEG_INFINITY, f64::max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn a_gain_is_linear_between_points_and_constant_beyond() {
        let curve = GainCurve::new(&[(-2.0, 0.8), (0.0, 0.9), (4.0, 1.0)]).unwrap();
        for (gamma, gain) in [
            (-9.0, 0.8),
            (-2.0, 0.8),
            (-1.0, 0.85),
            (1.0, 0.925),
            (4.0, 1.0),
            (7.0, 1.0),
        ] {
            assert!(
                (curve.interpolate(gamma) - gain).abs() < 1e-12,
                "{gamma}: {}",
                curve.interpolate(gamma)
            );
        }
        let gamma = Tensor::new(&[[-1.0f32], [9.0]], &Device::Cpu).unwrap();
        assert_eq!(
            curve.of_rows(&gamma).unwrap().to_vec2::<f32>().unwrap(),
            [[0.85], [1.0]]
        );
        assert_eq!(curve.range(), (0.8, 1.0));
    }

    #[test]
    fn points_that_are_no_curve_are_refused() {
        for points in [&[][..], &[(0.0, 0.9), (0.0, 0.9)], &[(f64::NAN, 0.9)]] {
            let error = GainCurve::new(points).unwrap_err();
            assert!(error.to_string().contains("increasing gamma"), "{error}");
        }
        for gain in [0.4, 1.1, f64::NAN] {
            let error = GainCurve::new(&[(0.0, gain)]).unwrap_err();
            assert!(error.to_string().contains("0.5 to 1"), "{error}");
        }
    }
}
