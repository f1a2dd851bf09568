//! The table of γ as parameters.

use super::curve::{CurveKind, GammaCurve, even_share};
use super::ends::{GammaBounds, GammaEnds};
use crate::model::parameter::Parameter;
use candle_core::{Device, Result, Tensor, Var};

/// Least share of a piece that is left to the curve when a table is set.
const LEAST_SHARE: f64 = 1e-9;

/// A table of γ: `γ_t = γ_0 + (γ_T − γ_0)·s_t`, where s_t rises from 0 to 1.
///
/// The ends cannot cross, and no piece can become empty: whatever the parameters are, neighbors are different numbers
/// in f32.
#[derive(Clone, Debug)]
pub struct GammaTable {
    ends: GammaEnds,
    curve: GammaCurve,
    learn: bool,
}

impl GammaTable {
    /// A table of even steps from `first` to `last`, or from and to the nearest values within the bounds.
    pub fn new(
        (first, last): (f64, f64),
        bounds: GammaBounds,
        steps: usize,
        curve: CurveKind,
        learn: bool,
        device: &Device,
    ) -> Result<Self> {
        Ok(Self {
            ends: GammaEnds::new(first, last, bounds, device)?,
            curve: GammaCurve::new(curve, steps, device)?,
            learn,
        })
    }

    /// Returns the number of steps, T.
    pub fn steps(&self) -> usize {
        self.curve.steps()
    }

    /// Returns the parameters in a fixed order. A checkpoint holds them even if they are not learned.
    pub fn parameters(&self) -> Vec<Parameter> {
        let ends = [("gamma.first", &self.ends.first), ("gamma.last", &self.ends.last)];
        ends.into_iter()
            .chain(self.curve.parameters())
            .map(|(name, var)| Parameter {
                name: name.to_owned(),
                var: var.clone(),
                decays: false,
            })
            .collect()
    }

    /// Returns the parameters of γ_0 and γ_T.
    pub fn end_parameters(&self) -> [&Var; 2] {
        [&self.ends.first, &self.ends.last]
    }

    /// Returns the parameters of γ between its ends.
    pub fn curve_parameters(&self) -> Vec<&Var> {
        self.curve.parameters().into_iter().map(|(_, var)| var).collect()
    }

    /// Returns γ_0 ..= γ_T as numbers.
    pub fn wide(&self) -> Result<Vec<f64>> {
        let gamma: Vec<f32> = self.values()?.to_vec1()?;
        Ok(gamma.into_iter().map(f64::from).collect())
    }

    /// Replaces the values by an increasing table of the same length. Ends beyond their bounds and pieces that are too
    /// short become the nearest possible ones.
    pub fn set(&self, gamma: &[f64]) -> Result<()> {
        let GammaCurve::Table(table) = &self.curve else {
            candle_core::bail!("a network of gamma cannot take the values of a table: set model.gamma to \"table\"")
        };
        let (Some(&first), Some(&last)) = (gamma.first(), gamma.last()) else {
            return Ok(());
        };
        let steps = gamma.len() - 1;
        self.ends.set(first, last)?;
        let even = even_share(steps);
        let logit = |pair: &[f64]| match pair {
            [s, t] => {
                let share = (t - s) / (last - first);
                ((share - even / steps as f64) / (1.0 - even)).max(LEAST_SHARE).ln() as f32
            }
            _ => 0.0,
        };
        let logits: Vec<f32> = gamma.windows(2).map(logit).collect();
        table.set(&Tensor::from_vec(logits, steps, table.device())?)
    }

    /// Returns true if the table is learned.
    pub fn learns(&self) -> bool {
        self.learn
    }

    /// Returns γ_0 ..= γ_T, `(T + 1)` values, with gradients if the table is learned. The end points are not results of
    /// the sum.
    pub fn values(&self) -> Result<Tensor> {
        let [first, last] = self.ends.values()?;
        if self.steps() == 1 {
            return self.learned(Tensor::cat(&[first, last], 0)?);
        }
        let span = (&last - &first)?;
        let inner = self.curve.inner()?.broadcast_mul(&span)?.broadcast_add(&first)?;
        self.learned(Tensor::cat(&[first, inner, last], 0)?)
    }

    /// Returns γ at times in [0, 1) and its slope there, `(n, 1)` each. The points of a table have equal distances in
    /// time, and γ is linear between them.
    pub fn interpolate(&self, times: &[f64]) -> Result<(Tensor, Tensor)> {
        let (gamma, slope) = match &self.curve {
            GammaCurve::Table(_) => interpolate_table(&self.values()?, times)?,
            GammaCurve::Network { network, steps } => {
                let (share, slope) = network.evaluate(times, even_share(*steps))?;
                let [first, last] = self.ends.values()?;
                let span = (last - &first)?;
                let gamma = share.broadcast_mul(&span)?.broadcast_add(&first)?;
                (gamma, slope.broadcast_mul(&span)?)
            }
        };
        Ok((self.learned(gamma)?, self.learned(slope)?))
    }

    fn learned(&self, values: Tensor) -> Result<Tensor> {
        if self.learn { Ok(values) } else { Ok(values.detach()) }
    }
}

/// Returns the values of [`GammaTable::interpolate`] for a table.
fn interpolate_table(table: &Tensor, times: &[f64]) -> Result<(Tensor, Tensor)> {
    let steps = table.elem_count() - 1;
    let places = times.iter().map(|u| u * steps as f64);
    let before: Vec<u32> = places.clone().map(|p| (p as u32).min(steps as u32 - 1)).collect();
    let share: Vec<f32> = places.zip(&before).map(|(p, b)| (p - f64::from(*b)) as f32).collect();
    let n = times.len();
    let device = table.device();
    let after: Vec<u32> = before.iter().map(|b| b + 1).collect();
    let pick = |index: Vec<u32>| {
        table
            .index_select(&Tensor::from_vec(index, n, device)?, 0)?
            .unsqueeze(1)
    };
    let (low, high) = (pick(before)?, pick(after)?);
    let rise = (high - &low)?;
    let gamma = (low + (&rise * Tensor::from_vec(share, (n, 1), device)?)?)?;
    Ok((gamma, rise.affine(steps as f64, 0.0)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ancestral::schedule::Schedule;

    fn make(first: f64, last: f64, steps: usize, curve: CurveKind) -> GammaTable {
        GammaTable::new((first, last), GammaBounds::default(), steps, curve, true, &Device::Cpu).unwrap()
    }

    /// Gives every parameter of a curve values, from their number.
    fn fill(gamma: &GammaTable, value: impl Fn(usize, usize) -> f32) {
        for (number, var) in gamma.curve_parameters().into_iter().enumerate() {
            let values: Vec<f32> = (0..var.elem_count()).map(|i| value(number, i)).collect();
            var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu).unwrap())
                .unwrap();
        }
    }

    #[test]
    fn no_parameters_make_neighbors_equal() {
        for steps in [1, 2, 64, 1000] {
            for curve in [CurveKind::Table, CurveKind::Network] {
                for (first, last) in [(-16.0, 15.9), (-6.2, 6.0), (-16.0, -15.9), (4.0, -3.0)] {
                    let gamma = make(first, last, steps, curve);
                    for size in [0.0, 1.0, 30.0] {
                        fill(&gamma, |number, i| size * ((i * 7 + number) as f32 * 1.3).sin());
                        let values: Vec<f32> = gamma.values().unwrap().to_vec1().unwrap();
                        let checked = Schedule::new(&values);
                        assert!(
                            checked.is_ok(),
                            "{curve:?}, {steps} steps, {first}, {size}: {checked:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_table_that_is_set_is_the_one_that_is_read() {
        for bounds in [
            GammaBounds::default(),
            GammaBounds {
                first: Some(-16.0),
                last: Some(6.22),
            },
        ] {
            let gamma = GammaTable::new((-1.0, 9.0), bounds, 5, CurveKind::Table, true, &Device::Cpu).unwrap();
            let wanted = [-15.5, -15.49, -2.0, 0.5, 6.5, 6.7];
            gamma.set(&wanted).unwrap();
            for (found, wanted) in gamma.wide().unwrap().into_iter().zip(wanted) {
                assert!((found - wanted).abs() < 1e-5, "{found} {wanted}");
            }
        }
    }

    #[test]
    fn end_points_are_exact_and_steps_positive() {
        let table = make(-7.3, 5.1, 50, CurveKind::Table);
        fill(&table, |_, i| (i as f32 * 1.7).sin() * 3.0);
        let gamma: Vec<f32> = table.values().unwrap().to_vec1().unwrap();
        assert_eq!(gamma.len(), 51);
        assert_eq!((gamma[0], gamma[50]), (-7.3, 5.1));
        assert!(gamma.windows(2).all(|w| w[0] < w[1]));
    }

    #[test]
    fn one_step_has_only_end_points() {
        let table = make(-1.0, 1.0, 1, CurveKind::Table);
        assert_eq!(table.values().unwrap().to_vec1::<f32>().unwrap(), [-1.0, 1.0]);
    }

    #[test]
    fn gradients_reach_every_parameter() {
        let table = make(-6.0, 6.0, 4, CurveKind::Table);
        let weights = Tensor::from_vec(vec![1f32, -2.0, 3.0, 0.5, 1.0], 5, &Device::Cpu).unwrap();
        let grads = (table.values().unwrap() * weights)
            .unwrap()
            .sum_all()
            .unwrap()
            .backward()
            .unwrap();
        let gradient = |i: usize| grads.get(&table.parameters()[i].var).unwrap().to_vec1::<f32>().unwrap();
        // Even steps: gamma_t = first + (last − first)·t/4.
        assert!((gradient(0)[0] - (1.0 - 2.0 * 0.75 + 3.0 * 0.5 + 0.5 * 0.25)).abs() < 1e-5);
        assert!((gradient(1)[0] - (-2.0 * 0.25 + 3.0 * 0.5 + 0.5 * 0.75 + 1.0)).abs() < 1e-5);
        assert!(gradient(2).iter().any(|g| g.abs() > 0.1) && gradient(2).iter().sum::<f32>().abs() < 1e-5);
    }

    /// A network whose parameters have moved from their initial values.
    fn network() -> GammaTable {
        let gamma = make(-6.0, 5.0, 16, CurveKind::Network);
        for (seed, var) in gamma.curve_parameters().into_iter().enumerate() {
            let bent: Vec<f32> = (0..var.elem_count())
                .map(|i| 0.7 * (i as f32 * 0.9 + seed as f32).sin())
                .collect();
            let bent = Tensor::from_vec(bent, var.shape(), &Device::Cpu).unwrap();
            var.set(&(var.as_tensor() + bent).unwrap()).unwrap();
        }
        gamma
    }

    fn value_and_slope(gamma: &GammaTable, time: f64) -> [f64; 2] {
        let (gamma, slope) = gamma.interpolate(&[time]).unwrap();
        [gamma, slope].map(|t| f64::from(t.flatten_all().unwrap().to_vec1::<f32>().unwrap()[0]))
    }

    #[test]
    fn a_network_rises_between_exact_ends() {
        let gamma = network();
        let table: Vec<f32> = gamma.values().unwrap().to_vec1().unwrap();
        assert_eq!((table.len(), table[0], table[16]), (17, -6.0, 5.0));
        assert!(table.windows(2).all(|w| w[0] < w[1]));
        assert!((value_and_slope(&gamma, 0.25)[0] - f64::from(table[4])).abs() < 1e-5);
        let even = make(-6.0, 5.0, 16, CurveKind::Network);
        for t in 0..=16 {
            let straight = -6.0 + 11.0 * t as f64 / 16.0;
            let found = value_and_slope(&even, t as f64 / 16.0)[0];
            assert!(
                (found - straight).abs() < 0.5,
                "it starts nearly straight: {found} {straight}"
            );
        }
        let bent = |t: usize| (f64::from(table[t]) - value_and_slope(&even, t as f64 / 16.0)[0]).abs();
        assert!((1..16).any(|t| bent(t) > 0.3), "the parameters do nothing");
    }

    #[test]
    fn a_networks_slope_is_that_of_its_values() {
        let gamma = network();
        for time in [0.05, 0.3, 0.55, 0.9] {
            let h = 0.01;
            let rise = (value_and_slope(&gamma, time + h)[0] - value_and_slope(&gamma, time - h)[0]) / (2.0 * h);
            let slope = value_and_slope(&gamma, time)[1];
            assert!((rise - slope).abs() < 0.01 * slope, "{time}: {rise} {slope}");
        }
    }

    #[test]
    fn a_networks_gradients_are_those_of_value_and_slope() {
        let gamma = network();
        let mut largest = 0.0f64;
        for output in [0, 1] {
            let time = 0.37;
            let pair: [Tensor; 2] = gamma.interpolate(&[time]).unwrap().into();
            let gradients = pair[output].sum_all().unwrap().backward().unwrap();
            for var in gamma.curve_parameters().into_iter().chain(gamma.end_parameters()) {
                let found = gradients
                    .get(var)
                    .unwrap()
                    .flatten_all()
                    .unwrap()
                    .to_vec1::<f32>()
                    .unwrap();
                let before: Vec<f32> = var.flatten_all().unwrap().to_vec1().unwrap();
                for index in [0, before.len() / 3, before.len() / 2] {
                    let moved = |h: f32| {
                        let mut values = before.clone();
                        values[index] += h;
                        var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu).unwrap())
                            .unwrap();
                        value_and_slope(&gamma, time)[output]
                    };
                    // Two differences, combined so that the third derivative cancels.
                    let rise = |h: f32| (moved(h) - moved(-h)) / (2.0 * f64::from(h));
                    let expected = (4.0 * rise(0.005) - rise(0.01)) / 3.0;
                    moved(0.0);
                    let found = f64::from(found[index]);
                    // The tolerance covers the rounding of values up to 15 over a difference of 0.01.
                    assert!(
                        (found - expected).abs() < 0.01 * expected.abs() + 4e-3,
                        "{found} {expected}"
                    );
                    largest = largest.max(expected.abs());
                }
            }
        }
        assert!(largest > 0.5, "gradients of nothing prove nothing: {largest}");
    }
}
