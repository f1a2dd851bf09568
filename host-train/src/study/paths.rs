//! Paths of γ: where the steps of a chain lie.

use anyhow::{Context, Result};
use serde::Serialize;

/// Placement of the γ of the steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Path {
    /// At equal distances.
    Even,
    /// `α_t = cos(π/2·t/T)` between the end points (Nichol and Dhariwal 2021, in the form of Salimans and Ho 2022).
    Cosine,
    /// Along the learned table.
    Learned,
    /// Least cost, ends included.
    Best,
}

/// Every path.
pub const PATHS: [Path; 4] = [Path::Even, Path::Cosine, Path::Learned, Path::Best];

impl Path {
    /// Its name in tables and charts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Even => "even",
            Self::Cosine => "cosine",
            Self::Learned => "learned",
            Self::Best => "best",
        }
    }
}

/// First and last γ of a table.
pub(crate) fn end_points(gamma: &[f64]) -> Result<(f64, f64)> {
    let (first, last) = gamma.first().zip(gamma.last()).context("the schedule is empty")?;
    Ok((*first, *last))
}

/// Value at an index; NaN outside.
pub(crate) fn value_or_nan(values: &[f64], index: usize) -> f64 {
    values.get(index).copied().unwrap_or(f64::NAN)
}

/// γ at equal distances.
pub(crate) fn even((first, last): (f64, f64), steps: usize) -> Vec<f64> {
    (0..=steps)
        .map(|t| first + (last - first) * t as f64 / steps as f64)
        .collect()
}

/// `γ = 2 ln tan φ` with φ even between the angles of the two ends.
pub(crate) fn cosine((first, last): (f64, f64), steps: usize) -> Vec<f64> {
    let angle = |gamma: f64| (0.5 * gamma).exp().atan();
    let (a, b) = (angle(first), angle(last));
    let mut gamma: Vec<f64> = (0..=steps)
        .map(|t| 2.0 * (a + (b - a) * t as f64 / steps as f64).tan().ln())
        .collect();
    // The end points are the model's, to the bit.
    if let [begin, .., end] = gamma.as_mut_slice() {
        (*begin, *end) = (first, last);
    }
    gamma
}

/// The learned table at other times, linear between its points.
pub(crate) fn resample(learned: &[f64], steps: usize) -> Vec<f64> {
    let last = learned.len() - 1;
    (0..=steps)
        .map(|t| {
            let place = t as f64 * last as f64 / steps as f64;
            let (index, share) = (place as usize, place.fract());
            let low = value_or_nan(learned, index);
            let high = learned.get(index + 1).copied().unwrap_or(low);
            low + share * (high - low)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_keep_their_ends_and_increase() {
        let learned = [-7.0, -3.0, -1.0, 0.5, 5.0];
        for steps in [1, 2, 7, 64] {
            for path in [
                even((-7.0, 5.0), steps),
                cosine((-7.0, 5.0), steps),
                resample(&learned, steps),
            ] {
                assert_eq!((path[0], path[steps], path.len()), (-7.0, 5.0, steps + 1));
                assert!(path.windows(2).all(|w| w[0] < w[1]), "{path:?}");
            }
        }
        assert_eq!(resample(&learned, 4), learned);
        assert_eq!(resample(&learned, 8)[1], -5.0);
    }
}
