//! A sequential generator for training. Its normals are the core's, so host and device share one definition.

use super::purpose::Purpose;
use super::share::Share;
use super::source::RandomSource;
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
    /// A generator with this seed.
    pub fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// Returns a uniform number in [0, 1) with 24 bits.
    pub fn uniform(&mut self) -> f32 {
        unit((self.0.next_u64() >> 32) as u32)
    }

    /// Returns a uniform index in `0..bound`. It scales 64 random bits, so the bias is far too small to be seen.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.0.next_u64()) * bound as u128) >> 64) as usize
    }

    /// Returns stratified times in [0, 1); see [`RandomSource::draw_times`].
    pub fn times<S: Into<Share>>(&mut self, rows: S) -> impl Iterator<Item = f64> + Clone + use<S> {
        stratified(self.uniform(), rows.into())
    }

    /// Calls `draw`, which takes one word of the generator, `each` times for every row of a share. The words of the
    /// batch's other rows are skipped.
    pub fn for_rows<T>(&mut self, share: Share, each: usize, draw: impl Fn(&mut Self) -> T) -> Vec<T> {
        self.skip(share.first * each);
        let values = (0..share.rows * each).map(|_| draw(self)).collect();
        self.skip((share.of - share.first - share.rows) * each);
        values
    }

    fn skip(&mut self, words: usize) {
        for _ in 0..words {
            self.0.next_u64();
        }
    }

    /// Returns one standard normal.
    pub fn normal(&mut self) -> f32 {
        to_f32(normal_q28((self.0.next_u64() >> 32) as u32))
    }

    /// Returns a matrix of normals whose columns have exactly mean 0 and variance 1, if there are at least two rows.
    /// Means of squares over them then lack the scatter of `Σ n²`, which is most of their error.
    pub fn matched_normals(&mut self, rows: usize, columns: usize) -> Vec<f32> {
        let mut values: Vec<f32> = (0..rows * columns).map(|_| self.normal()).collect();
        if rows < 2 {
            return values;
        }
        for column in 0..columns {
            let average = |values: &[f32], f: &dyn Fn(f64) -> f64| {
                let column = values.iter().skip(column).step_by(columns);
                column.map(|v| f(f64::from(*v))).sum::<f64>() / rows as f64
            };
            let mean = average(&values, &|v| v);
            let deviation = average(&values, &|v| (v - mean) * (v - mean)).sqrt();
            for value in values.iter_mut().skip(column).step_by(columns) {
                *value = ((f64::from(*value) - mean) / deviation) as f32;
            }
        }
        values
    }

    /// Returns a matrix of standard normals, or a share of its rows.
    pub fn normals(&mut self, rows: impl Into<Share>, columns: usize, device: &Device) -> Result<Tensor> {
        self.normal_matrix(Purpose::Noise, rows.into(), columns, device)
    }
}

impl RandomSource for TrainRng {
    fn draw_indices(&mut self, bound: usize, share: Share) -> Vec<usize> {
        self.for_rows(share, 1, |rng| rng.below(bound))
    }

    fn draw_times(&mut self, share: Share) -> Vec<f64> {
        self.times(share).collect()
    }

    fn draw_normals(&mut self, _: Purpose, share: Share, columns: usize) -> Vec<f32> {
        self.for_rows(share, columns, Self::normal)
    }

    fn draw_uniforms(&mut self, _: Purpose, share: Share, columns: usize) -> Vec<f32> {
        self.for_rows(share, columns, Self::uniform)
    }
}
