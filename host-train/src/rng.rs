//! Seeded random numbers for training. The normals are the core's own, so host and device draw from one definition.

use ancestral::noise::{normal_q28, to_f32};
use candle_core::{Device, Result, Tensor};
use rand_core::{Rng as _, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

/// A generator whose state can be saved in a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainRng(Xoshiro256PlusPlus);

impl TrainRng {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// Uniform in [0, 1), 24 bits.
    pub fn uniform(&mut self) -> f32 {
        (self.0.next_u64() >> 40) as f32 / (1u32 << 24) as f32
    }

    /// Uniform in `0..bound`, without bias that could be seen (64 random bits are scaled).
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.0.next_u64()) * bound as u128) >> 64) as usize
    }

    /// `count` times in [0, 1), stratified: one uniform number places all of them, 1/count apart (Kingma et al. 2021, appendix I.1).
    pub fn times(&mut self, count: usize) -> impl Iterator<Item = f64> + Clone + use<> {
        let offset = f64::from(self.uniform());
        (0..count).map(move |i| (offset + i as f64) / count as f64)
    }

    /// One standard normal.
    pub fn normal(&mut self) -> f32 {
        to_f32(normal_q28((self.0.next_u64() >> 32) as u32))
    }

    /// A matrix of normals whose columns have exactly the mean 0 and the variance 1, where there are at least two rows: means of squares over
    /// them are then not off by the scatter of `Σ n²`, which is most of what they would be off by.
    pub fn matched_normals(&mut self, rows: usize, columns: usize) -> Vec<f32> {
        let mut values: Vec<f32> = (0..rows * columns).map(|_| self.normal()).collect();
        if rows < 2 {
            return values;
        }
        for column in 0..columns {
            let of = |values: &[f32], f: &dyn Fn(f64) -> f64| {
                let column = values.iter().skip(column).step_by(columns);
                column.map(|v| f(f64::from(*v))).sum::<f64>() / rows as f64
            };
            let mean = of(&values, &|v| v);
            let deviation = of(&values, &|v| (v - mean) * (v - mean)).sqrt();
            for value in values.iter_mut().skip(column).step_by(columns) {
                *value = ((f64::from(*value) - mean) / deviation) as f32;
            }
        }
        values
    }

    /// A matrix of standard normals.
    pub fn normals(&mut self, rows: usize, columns: usize, device: &Device) -> Result<Tensor> {
        let values: Vec<f32> = (0..rows * columns).map(|_| self.normal()).collect();
        Tensor::from_vec(values, (rows, columns), device)
    }
}
