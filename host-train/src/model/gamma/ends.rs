//! The ends of γ, which can neither cross nor leave their bounds.

use candle_core::{Device, Result, Tensor, Var};

/// Least distance between the ends.
pub const LEAST_SPAN: f64 = 1.0;
/// Distance from a bound below which an end differs from its parameter.
const KNEE: f64 = 1.0;
/// Greatest γ_T. There the prior term of unit variance is 6·10⁻⁸ nats/dim, so nothing is gained beyond it.
pub const MOST_LAST: f64 = 16.0;
/// Greatest γ_0, which leaves room for γ_T between its bounds.
pub const MOST_FIRST: f64 = MOST_LAST - LEAST_SPAN - KNEE;
/// Least distance from a bound at which an end can be set.
pub const LEAST_DISTANCE: f64 = 1e-3;

/// Lower bounds of the ends, for data that needs them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GammaBounds {
    /// Bound of γ_0.
    pub first: Option<f64>,
    /// Bound of γ_T.
    pub last: Option<f64>,
}

/// Both ends as functions of two parameters.
///
/// An end is its parameter, to the bit, while it is far from its bound. Near it the parameter's distance u from the
/// bound becomes `exp(u − 1)`, which is positive and joins without a bend at 1. The lower bound of γ_T is at least
/// `γ_0 + LEAST_SPAN`; the upper ones are [`MOST_FIRST`] and [`MOST_LAST`].
#[derive(Clone, Debug)]
pub(super) struct GammaEnds {
    pub(super) first: Var,
    pub(super) last: Var,
    bounds: GammaBounds,
}

impl GammaEnds {
    /// Ends with these values, or as near to them as the bounds allow.
    pub(super) fn new(first: f64, last: f64, bounds: GammaBounds, device: &Device) -> Result<Self> {
        let zero = || Var::zeros(1, candle_core::DType::F32, device);
        let ends = Self {
            first: zero()?,
            last: zero()?,
            bounds,
        };
        ends.set(first, last)?;
        Ok(ends)
    }

    /// Replaces the values, or brings them as near as the bounds allow. Returns the values that the ends now have.
    pub(super) fn set(&self, first: f64, last: f64) -> Result<[f64; 2]> {
        let write = |var: &Var, value: f64| var.set(&Tensor::from_vec(vec![value as f32], 1, var.device())?);
        let lower = self.bounds.first.unwrap_or(f64::NEG_INFINITY);
        let first = bring_between(first, lower, MOST_FIRST);
        write(&self.first, parameter(first, lower, MOST_FIRST))?;
        let lower = (first + LEAST_SPAN).max(self.bounds.last.unwrap_or(f64::NEG_INFINITY));
        let last = bring_between(last, lower, MOST_LAST);
        write(&self.last, parameter(last, lower, MOST_LAST))?;
        Ok([first, last])
    }

    /// Returns γ_0 and γ_T with gradients.
    ///
    /// Only operations that take no scalar from the host are used, because a GPU records a step as a graph.
    pub(super) fn values(&self) -> Result<[Tensor; 2]> {
        let raw = self.first.as_tensor();
        let first = match self.bounds.first {
            Some(bound) => lift(raw, &raw.affine(-1.0, KNEE + bound)?)?,
            None => raw.clone(),
        };
        let first = hold_below(&first, MOST_FIRST)?;
        let bound = match self.bounds.last {
            // The larger of the two bounds.
            Some(last) => first.affine(1.0, LEAST_SPAN - last)?.relu()?.affine(1.0, last)?,
            None => first.affine(1.0, LEAST_SPAN)?,
        };
        let raw = self.last.as_tensor();
        let last = lift(raw, &(bound - raw)?.affine(1.0, KNEE)?)?;
        Ok([first, hold_below(&last, MOST_LAST)?])
    }
}

/// Returns an end for its parameter and `KNEE − u`, where u is the parameter's distance from the bound.
fn lift(parameter: &Tensor, below_knee: &Tensor) -> Result<Tensor> {
    let below = below_knee.relu()?;
    // u = 1 − below becomes exp(u − 1): the difference is exactly 0 where `below` is.
    (parameter + &below)? + below.neg()?.exp()?.affine(1.0, -KNEE)?
}

/// Returns an end below its upper bound.
fn hold_below(end: &Tensor, bound: f64) -> Result<Tensor> {
    lift(&end.neg()?, &end.affine(1.0, KNEE - bound)?)?.neg()
}

/// Returns the value nearest to `value` at which an end can be set.
fn bring_between(value: f64, lower: f64, upper: f64) -> f64 {
    value.max(lower + LEAST_DISTANCE).min(upper - LEAST_DISTANCE)
}

/// Returns the parameter whose end is `value`.
fn parameter(value: f64, lower: f64, upper: f64) -> f64 {
    let below_upper = match upper - value {
        near if near < KNEE => upper - KNEE - near.ln(),
        _ => value,
    };
    match below_upper - lower {
        near if near < KNEE => lower + KNEE + near.ln(),
        _ => below_upper,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(ends: &GammaEnds) -> [f32; 2] {
        ends.values().unwrap().map(|end| end.to_vec1::<f32>().unwrap()[0])
    }

    fn put(ends: &GammaEnds, first: f32, last: f32) {
        for (var, value) in [(&ends.first, first), (&ends.last, last)] {
            var.set(&Tensor::from_vec(vec![value], 1, &Device::Cpu).unwrap())
                .unwrap();
        }
    }

    #[test]
    fn ends_far_from_their_bounds_are_their_parameters() {
        for bounds in [
            GammaBounds::default(),
            GammaBounds {
                first: Some(-16.0),
                last: Some(3.7),
            },
        ] {
            let ends = GammaEnds::new(-7.3, 5.1, bounds, &Device::Cpu).unwrap();
            assert_eq!(values(&ends), [-7.3, 5.1]);
            assert_eq!(ends.last.to_vec1::<f32>().unwrap(), [5.1]);
        }
    }

    #[test]
    fn no_parameters_make_ends_cross_or_leave_their_bounds() {
        let bounds = GammaBounds {
            first: Some(-16.0),
            last: Some(6.22),
        };
        let bounded = GammaEnds::new(-8.0, 7.0, bounds, &Device::Cpu).unwrap();
        let free = GammaEnds::new(-8.0, 7.0, GammaBounds::default(), &Device::Cpu).unwrap();
        for first in [-900.0, -20.0, -15.5, -3.0, 5.9, 12.0] {
            for last in [-900.0, -15.0, -3.5, 5.0, 6.3, 12.5, 30.0, 900.0] {
                put(&bounded, first, last);
                let [low, high] = values(&bounded);
                assert!(low > -16.001 && high > 6.219 && high - low > 0.999, "{low} {high}");
                assert!(high <= 16.0, "{high}");
                put(&free, first, last);
                let [low, high] = values(&free);
                assert!(low == first && high - low > 0.999 && high <= 16.0, "{low} {high}");
            }
        }
        for first in [13.5, 40.0, 900.0] {
            put(&free, first, first);
            let [low, high] = values(&free);
            assert!(low > 13.0 && low <= 14.0 && high - low > 0.999, "{low} {high}");
            assert!(high <= 16.0, "{high}");
        }
    }

    #[test]
    fn values_near_a_bound_are_set_and_keep_their_gradient() {
        let bounds = GammaBounds {
            first: Some(-16.0),
            last: Some(6.22),
        };
        let ends = GammaEnds::new(-15.7, 6.4, bounds, &Device::Cpu).unwrap();
        let [first, last] = values(&ends);
        assert!(
            (first + 15.7).abs() < 1e-5 && (last - 6.4).abs() < 1e-5,
            "{first} {last}"
        );
        // exp(u − 1) is its own slope.
        let [low, high] = ends.values().unwrap();
        let gradients = (low + high).unwrap().backward().unwrap();
        for (var, slope) in [(&ends.first, 0.3), (&ends.last, 0.18)] {
            let found = gradients.get(var).unwrap().to_vec1::<f32>().unwrap()[0];
            assert!((found - slope).abs() < 1e-4, "{found} {slope}");
        }
        // Values beyond the bounds are brought to them.
        let [first, last] = ends.set(-20.0, 6.0).unwrap();
        let nearest = [-16.0 + LEAST_DISTANCE, 6.22 + LEAST_DISTANCE];
        assert!(
            ((first - nearest[0]).abs() + (last - nearest[1]).abs()) < 1e-9,
            "{first} {last}"
        );
        for (found, nearest) in values(&ends).into_iter().zip(nearest) {
            assert!((f64::from(found) - nearest).abs() < 1e-5, "{found} {nearest}");
        }
        let [_, last] = ends.set(-8.0, 15.6).unwrap();
        assert!(last == 15.6 && (values(&ends)[1] - 15.6).abs() < 1e-5, "{last}");
    }
}
