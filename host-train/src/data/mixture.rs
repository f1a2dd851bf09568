//! Mixtures of Gaussians: data with a known density, and so with a known lower bound of any model's cost.

use super::table::{Origin, RawTable};
use crate::rng::TrainRng;

/// Equally likely Gaussians of one width.
#[derive(Clone, Copy, Debug)]
pub struct Mixture {
    /// Name in a configuration.
    pub name: &'static str,
    /// Values in a row, 1 or 2.
    pub dim: usize,
    /// Number of Gaussians.
    components: usize,
    /// Distance of each center from the origin.
    radius: f64,
    /// Standard deviation of each, in every direction.
    scale: f64,
}

/// Rows drawn of each mixture.
const ROWS: usize = 20_000;
/// Seed of the rows: they are part of the set, as those of a file are.
const SEED: u64 = 0x0A11;

const ALL: &[Mixture] = &[
    // Variance 0.98² + 0.2² = 1.
    Mixture {
        name: "mixture-1d",
        dim: 1,
        components: 2,
        radius: 0.98,
        scale: 0.2,
    },
    // Eight on a circle; variance 1.4²/2 + 0.15² ≈ 1 along each axis.
    Mixture {
        name: "mixture-2d",
        dim: 2,
        components: 8,
        radius: 1.4,
        scale: 0.15,
    },
];

/// Returns the mixture of that name.
pub fn find(name: &str) -> Option<&'static Mixture> {
    ALL.iter().find(|mixture| mixture.name == name)
}

impl Mixture {
    /// The center of a component: in one dimension at ±radius, in two at equal angles.
    fn center(&self, component: usize) -> [f64; 2] {
        let angle = std::f64::consts::TAU * component as f64 / self.components as f64;
        [self.radius * angle.cos(), self.radius * angle.sin()]
    }

    /// Log-density `ln p` of a row in nats.
    pub fn log_density(&self, row: &[f32]) -> f64 {
        let wide = [0, 1].map(|d| f64::from(row.get(d).copied().unwrap_or(0.0)));
        self.log_density_at(wide)
    }

    fn log_density_at(&self, row: [f64; 2]) -> f64 {
        let exponent = |component: usize| {
            let center = self.center(component);
            let square: f64 = (0..self.dim).map(|d| ((row[d] - center[d]) / self.scale).powi(2)).sum();
            -0.5 * square
        };
        let top = (0..self.components).map(exponent).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = (0..self.components).map(|c| (exponent(c) - top).exp()).sum();
        let normalization = self.dim as f64 * (0.5 * std::f64::consts::TAU.ln() + self.scale.ln());
        top + sum.ln() - (self.components as f64).ln() - normalization
    }

    /// Entropy `−⟨ln p⟩` in nats, by the trapezoidal rule on a fine and wide grid.
    ///
    /// The integrand is smooth and vanishes at both ends, so the rule converges faster than any power of the step.
    pub fn entropy(&self) -> f64 {
        let step = self.scale / 8.0;
        let half = ((self.radius + 10.0 * self.scale) / step).ceil() as i32;
        let term = |point: [f64; 2]| {
            let log = self.log_density_at(point);
            -log.exp() * log
        };
        let axis = || (-half..=half).map(|i| f64::from(i) * step);
        match self.dim {
            1 => axis().map(|x| term([x, 0.0])).sum::<f64>() * step,
            _ => axis().map(|x| axis().map(|y| term([x, y])).sum::<f64>()).sum::<f64>() * step * step,
        }
    }

    /// Draws the rows of the set, always the same.
    pub(super) fn read(&self) -> RawTable {
        let mut rng = TrainRng::new(SEED);
        let mut values = Vec::with_capacity(ROWS * self.dim);
        for _ in 0..ROWS {
            let center = self.center(rng.below(self.components));
            for center in center.iter().take(self.dim) {
                values.push(center + self.scale * f64::from(rng.normal()));
            }
        }
        RawTable {
            dim: self.dim,
            values,
            origins: (1..=ROWS as u64).map(|row| Origin { file: 0, row }).collect(),
            ..RawTable::new(self.name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entropy_is_that_of_the_rows() {
        for mixture in ALL {
            let table = mixture.read();
            let logs: Vec<f64> = table
                .values
                .chunks(mixture.dim)
                .map(|row| mixture.log_density_at([row[0], row.get(1).copied().unwrap_or(0.0)]))
                .collect();
            let n = logs.len() as f64;
            let mean = logs.iter().sum::<f64>() / n;
            let error = (logs.iter().map(|l| (l - mean).powi(2)).sum::<f64>()).sqrt() / n;
            let off = (mixture.entropy() + mean) / error;
            assert!(off.abs() < 3.0, "{}: {off} standard errors", mixture.name);
        }
    }

    #[test]
    fn far_apart_the_entropy_is_a_sum() {
        // ln 2 for the choice between the two, plus the entropy of one Gaussian: they hardly overlap.
        let gaussian = 0.5 * (std::f64::consts::TAU.ln() + 1.0) + 0.2f64.ln();
        let entropy = find("mixture-1d").unwrap().entropy();
        assert!((entropy - (2f64.ln() + gaussian)).abs() < 1e-4, "{entropy}");
    }
}
