//! Variance of samples beside that of the data.
//!
//! A chain that starts from other noise than the data ends in draws samples that are too alike, and the ELBO hardly
//! notices.

use super::distance::Points;
use super::sample::Samples;
use crate::data::Dataset;
use nalgebra::{DMatrix, DVector, SymmetricEigen};
use serde::Serialize;
use std::ops::RangeInclusive;

/// Overall ratios of a model whose samples are as varied as the data.
pub const VARIANCE_LIMITS: RangeInclusive<f64> = 0.9..=1.1;

/// Least share of the data's variance in a direction that is compared: less of it is noise.
const LEAST_SHARE: f64 = 0.01;
/// Largest D with a search for the data's principal directions, which takes D³ operations.
const MAX_ROTATED: usize = 1024;

/// Variance of samples, as a multiple of the data's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct VarianceRatio {
    /// That of all dimensions together.
    pub overall: f64,
    /// That of the direction in which the ratio is furthest from 1, among the data's principal directions with at least
    /// a hundredth of its variance.
    pub worst: f64,
}

impl VarianceRatio {
    /// Compares samples with rows of the data, in model units. Returns `None` for fewer than two rows of either, or for
    /// data without any variance.
    pub fn new(samples: &Samples, data: &Dataset) -> Option<Self> {
        let values: Vec<f32> = samples.rows().iter().flat_map(|row| data.kind.from_raw(row)).collect();
        let points = |values| Points { dim: data.dim, values };
        Self::of_points(points(&values), points(&data.rows))
    }

    fn of_points(samples: Points, data: Points) -> Option<Self> {
        let (samples, data) = (centered(samples)?, centered(data)?);
        let total = data.iter().map(DVector::norm_squared).sum::<f64>() / (data.len() - 1) as f64;
        if total <= 0.0 {
            return None;
        }
        let basis = principal_directions(&data);
        let (of_samples, of_data) = (variances(&samples, &basis), variances(&data, &basis));
        let ratios = of_samples.iter().zip(&of_data);
        let compared = ratios.filter(|(_, d)| **d >= LEAST_SHARE * total).map(|(s, d)| s / d);
        let overall = of_samples.iter().sum::<f64>() / total;
        Some(Self {
            overall,
            worst: compared
                .max_by(|a, b| a.ln().abs().total_cmp(&b.ln().abs()))
                .unwrap_or(overall),
        })
    }

    /// Returns whether the samples are as varied as the data, over all dimensions together.
    pub fn is_usual(&self) -> bool {
        VARIANCE_LIMITS.contains(&self.overall)
    }

    /// Returns a remark on samples that are not as varied as the data.
    pub fn remark(&self, name: &str) -> Option<String> {
        let (low, high) = (VARIANCE_LIMITS.start(), VARIANCE_LIMITS.end());
        (!self.is_usual()).then(|| {
            format!(
                "the samples of {name} have {:.2} of the data's variance, outside {low} to {high} ({:.2} in the worst \
                 direction): train longer or with more \
                 validation rows, take more steps, or raise model.gamma_last_bound",
                self.overall, self.worst
            )
        })
    }
}

/// Returns the rows without their mean.
fn centered(points: Points) -> Option<Vec<DVector<f64>>> {
    if points.len() < 2 {
        return None;
    }
    let rows = points.values.chunks_exact(points.dim.max(1));
    let rows = rows.map(|row| DVector::from_iterator(row.len(), row.iter().map(|&x| f64::from(x))));
    let mut rows: Vec<DVector<f64>> = rows.collect();
    let sum = rows.iter().fold(DVector::zeros(points.dim), |sum, row| sum + row);
    let mean = sum / rows.len() as f64;
    rows.iter_mut().for_each(|row| *row -= &mean);
    Some(rows)
}

/// Returns the principal directions as columns; none, for the dimensions themselves, if there are too many.
fn principal_directions(rows: &[DVector<f64>]) -> Option<DMatrix<f64>> {
    let dim = rows.first().map_or(0, |row| row.len());
    (dim <= MAX_ROTATED).then(|| {
        let matrix = DMatrix::from_columns(rows);
        SymmetricEigen::new(&matrix * matrix.transpose()).eigenvectors
    })
}

fn variances(rows: &[DVector<f64>], basis: &Option<DMatrix<f64>>) -> Vec<f64> {
    let dim = rows.first().map_or(0, |row| row.len());
    let mut sums = DVector::zeros(dim);
    for row in rows {
        sums += match basis {
            Some(basis) => basis.tr_mul(row).map(|x| x * x),
            None => row.map(|x| x * x),
        };
    }
    (sums / (rows.len() - 1) as f64).as_slice().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::TrainRng;

    /// Rows in three dimensions: deviations of 2 and `second` along two oblique directions, and hardly any along the
    /// third.
    fn rows(count: usize, second: f32, seed: u64) -> Vec<f32> {
        let mut rng = TrainRng::new(seed);
        let row = |_| {
            let (a, b, c) = (2.0 * rng.normal(), second * rng.normal(), 0.01 * rng.normal());
            [0.6 * a - 0.8 * b + 1.0, 0.8 * a + 0.6 * b, c]
        };
        (0..count).flat_map(row).collect()
    }

    fn ratio(samples: &[f32], data: &[f32]) -> VarianceRatio {
        let points = |values| Points { dim: 3, values };
        VarianceRatio::of_points(points(samples), points(data)).unwrap()
    }

    #[test]
    fn a_direction_that_is_too_narrow_is_found() {
        let data = rows(20_000, 1.0, 1);
        let same = ratio(&rows(20_000, 1.0, 2), &data);
        assert!(
            (same.overall - 1.0).abs() < 0.05 && (same.worst - 1.0).abs() < 0.06,
            "{same:?}"
        );
        assert!(same.is_usual() && same.remark("a").is_none());
        let narrow = ratio(&rows(20_000, 0.5, 2), &data);
        assert!((narrow.overall - 4.25 / 5.0).abs() < 0.03, "{narrow:?}");
        assert!((narrow.worst - 0.25).abs() < 0.02, "{narrow:?}");
        assert!(narrow.remark("a").unwrap().contains("0.85 of the data's variance"));
    }

    #[test]
    fn what_has_no_variance_has_no_ratio() {
        let points = |values| Points { dim: 3, values };
        let data = rows(10, 1.0, 1);
        assert!(VarianceRatio::of_points(points(&data), points(&[1.0; 30])).is_none());
        assert!(VarianceRatio::of_points(points(&data[..3]), points(&data)).is_none());
    }
}
