//! The learned schedule: a monotone table of γ whose end points are parameters.

use crate::network::Parameter;
use candle_core::{DType, Device, Result, Tensor, Var};

/// `γ_t = first + (last − first)·Σ_{i ≤ t} softmax(w)_i`, so γ_0 and γ_T are the parameters themselves and every
/// step between is positive.
#[derive(Clone, Debug)]
pub struct GammaTable {
    first: Var,
    last: Var,
    logits: Var,
    learn: bool,
}

impl GammaTable {
    /// Even steps from `first` to `last`.
    pub fn new(first: f64, last: f64, steps: usize, learn: bool, device: &Device) -> Result<Self> {
        let one = |value: f64| Var::from_tensor(&Tensor::from_vec(vec![value as f32], 1, device)?);
        Ok(Self {
            first: one(first)?,
            last: one(last)?,
            logits: Var::zeros(steps, DType::F32, device)?,
            learn,
        })
    }

    /// T.
    pub fn steps(&self) -> usize {
        self.logits.elem_count()
    }

    /// Its parameters, in a fixed order; they are part of a checkpoint whether they are learned or not.
    pub fn parameters(&self) -> Vec<Parameter> {
        [
            ("gamma.first", &self.first),
            ("gamma.last", &self.last),
            ("gamma.logits", &self.logits),
        ]
        .map(|(name, var)| Parameter {
            name: name.to_owned(),
            var: var.clone(),
            decays: false,
        })
        .into()
    }

    /// The parameters of γ_0 and γ_T.
    pub fn ends(&self) -> [&Var; 2] {
        [&self.first, &self.last]
    }

    /// The parameter of what lies between.
    pub fn course(&self) -> &Var {
        &self.logits
    }

    /// γ_0 ..= γ_T as numbers.
    pub fn wide(&self) -> Result<Vec<f64>> {
        let gamma: Vec<f32> = self.values()?.to_vec1()?;
        Ok(gamma.into_iter().map(f64::from).collect())
    }

    /// Takes over a table of the same length, increasing.
    pub fn set(&self, gamma: &[f64]) -> Result<()> {
        let (Some(&first), Some(&last)) = (gamma.first(), gamma.last()) else {
            return Ok(());
        };
        let device = self.logits.device();
        let one = |value: f64| Tensor::from_vec(vec![value as f32], 1, device);
        let logits: Vec<f32> = gamma
            .windows(2)
            .map(|pair| match pair {
                [s, t] => ((t - s) / (last - first)).ln() as f32,
                _ => 0.0,
            })
            .collect();
        self.first.set(&one(first)?)?;
        self.last.set(&one(last)?)?;
        let steps = logits.len();
        self.logits.set(&Tensor::from_vec(logits, steps, device)?)
    }

    /// Whether the table is learned.
    pub fn learns(&self) -> bool {
        self.learn
    }

    /// γ_0 ..= γ_T, `(T + 1)` values, with gradients where the table is learned. The end points are exact: they are put
    /// in as they are, not by way of the sum.
    pub fn values(&self) -> Result<Tensor> {
        let steps = self.steps();
        let shifted = self
            .logits
            .broadcast_sub(&self.logits.max_keepdim(0)?.detach())?
            .exp()?;
        let share = shifted.broadcast_div(&shifted.sum_keepdim(0)?)?;
        let inner = if steps > 1 {
            let partial = share.cumsum(0)?.narrow(0, 0, steps - 1)?;
            let span = (self.last.as_tensor() - self.first.as_tensor())?;
            vec![partial.broadcast_mul(&span)?.broadcast_add(&self.first)?]
        } else {
            Vec::new()
        };
        let mut parts = vec![self.first.as_tensor().clone()];
        parts.extend(inner);
        parts.push(self.last.as_tensor().clone());
        let table = Tensor::cat(&parts, 0)?;
        if self.learn { Ok(table) } else { Ok(table.detach()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_points_are_exact_and_steps_positive() {
        let table = GammaTable::new(-7.3, 5.1, 50, true, &Device::Cpu).unwrap();
        let logits: Vec<f32> = (0..50).map(|i| (i as f32 * 1.7).sin() * 3.0).collect();
        table
            .logits
            .set(&Tensor::from_vec(logits, 50, &Device::Cpu).unwrap())
            .unwrap();
        let gamma: Vec<f32> = table.values().unwrap().to_vec1().unwrap();
        assert_eq!(gamma.len(), 51);
        assert_eq!((gamma[0], gamma[50]), (-7.3, 5.1));
        assert!(gamma.windows(2).all(|w| w[0] < w[1]));
    }

    #[test]
    fn one_step_has_only_end_points() {
        let table = GammaTable::new(-1.0, 1.0, 1, true, &Device::Cpu).unwrap();
        assert_eq!(table.values().unwrap().to_vec1::<f32>().unwrap(), [-1.0, 1.0]);
    }

    #[test]
    fn gradients_reach_every_parameter() {
        let table = GammaTable::new(-6.0, 6.0, 4, true, &Device::Cpu).unwrap();
        let weights = Tensor::from_vec(vec![1f32, -2.0, 3.0, 0.5, 1.0], 5, &Device::Cpu).unwrap();
        let grads = (table.values().unwrap() * weights)
            .unwrap()
            .sum_all()
            .unwrap()
            .backward()
            .unwrap();
        let of = |i: usize| grads.get(&table.parameters()[i].var).unwrap().to_vec1::<f32>().unwrap();
        // Even steps: gamma_t = first + (last − first)·t/4.
        assert!((of(0)[0] - (1.0 - 2.0 * 0.75 + 3.0 * 0.5 + 0.5 * 0.25)).abs() < 1e-5);
        assert!((of(1)[0] - (-2.0 * 0.25 + 3.0 * 0.5 + 0.5 * 0.75 + 1.0)).abs() < 1e-5);
        assert!(of(2).iter().any(|g| g.abs() > 0.1) && of(2).iter().sum::<f32>().abs() < 1e-5);
    }
}
