//! Seeded random numbers for training. The normals are the core's own, so host and device draw from one definition.

use super::share::Share;
use super::uniform::{stratified, unit};
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
        unit((self.0.next_u64() >> 32) as u32)
    }

    /// Uniform in `0..bound`, without bias that could be seen (64 random bits are scaled).
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.0.next_u64()) * bound as u128) >> 64) as usize
    }

    /// Times in [0, 1) for the rows of a batch, stratified: one uniform number places all of them, 1/n apart (Kingma et al. 2021,
    /// appendix I.1).
    pub fn times<S: Into<Share>>(&mut self, rows: S) -> impl Iterator<Item = f64> + Clone + use<S> {
        stratified(self.uniform(), rows.into())
    }

    /// What `draw`, which takes one of the generator's words, finds `each` times for every row of a share. The words of the batch's other
    /// rows are passed over.
    pub fn for_rows<T>(&mut self, share: Share, each: usize, draw: impl Fn(&mut Self) -> T) -> Vec<T> {
        self.pass(share.first * each);
        let found = (0..share.rows * each).map(|_| draw(self)).collect();
        self.pass((share.of - share.first - share.rows) * each);
        found
    }

    fn pass(&mut self, words: usize) {
        for _ in 0..words {
            self.0.next_u64();
        }
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

    /// A matrix of standard normals, or a share of its rows.
    pub fn normals(&mut self, rows: impl Into<Share>, columns: usize, device: &Device) -> Result<Tensor> {
        let share = rows.into();
        let values = self.for_rows(share, columns, Self::normal);
        Tensor::from_vec(values, (share.rows, columns), device)
    }
}
