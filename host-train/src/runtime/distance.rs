//! Energy distance between samples and data.
//!
//! `D² = 2⟨‖X − Y‖⟩ − ⟨‖X − X′‖⟩ − ⟨‖Y − Y′‖⟩` (Székely and Rizzo 2013) is 0 if and only if both have one distribution.
//! It is in model units and estimated without bias: the means within a set leave out the distance of a row to itself,
//! the diagonal. So it scatters around 0 for equal distributions. Nothing is learned and nothing is chosen.

use crate::rng::TrainRng;
use rayon::prelude::*;

/// Borrowed rows of `dim` values, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Points<'a> {
    /// Values in a row.
    pub dim: usize,
    /// `n × dim`.
    pub values: &'a [f32],
}

impl<'a> Points<'a> {
    fn iter(&self) -> std::slice::ChunksExact<'a, f32> {
        self.values.chunks_exact(self.dim.max(1))
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.values.len() / self.dim.max(1)
    }

    /// Returns `true` without any rows.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    // Eight sums side by side: the compiler makes them one instruction.
    let mut lanes = [0.0f32; 8];
    let (a8, a_rest) = a.as_chunks::<8>();
    let (b8, b_rest) = b.as_chunks::<8>();
    for (a, b) in a8.iter().zip(b8) {
        for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += (a - b) * (a - b);
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| (a - b) * (a - b)).sum();
    f64::from(lanes.iter().sum::<f32>() + rest).sqrt()
}

/// Mean distance between a row of one and a row of the other.
fn between(x: Points, y: Points) -> f64 {
    let rows: Vec<&[f32]> = x.iter().collect();
    let sums: Vec<f64> = rows
        .par_iter()
        .map(|a| y.iter().map(|b| distance(a, b)).sum::<f64>())
        .collect();
    // In the order of the rows: a parallel sum would add in another order each time.
    sums.iter().sum::<f64>() / (x.len() as f64 * y.len() as f64)
}

/// Mean distance between two different rows.
fn within(x: Points) -> f64 {
    let n = x.len() as f64;
    // Every row is at distance 0 from itself.
    between(x, x) * n / (n - 1.0)
}

/// Returns D² of two sets of rows, at least two rows each.
pub fn energy_distance(x: Points, y: Points) -> f64 {
    2.0 * between(x, y) - within(x) - within(y)
}

/// Returns the mean and the 95 % point of D² between random halves of the data, or `None` for fewer than four rows.
///
/// Smaller sets scatter more, so the halves scatter more than many samples against all of the data.
pub fn noise_floor(data: Points, splits: usize, seed: u64) -> Option<(f64, f64)> {
    if data.len() < 4 {
        return None;
    }
    let rows: Vec<&[f32]> = data.iter().collect();
    let n = rows.len();
    let table: Vec<Vec<f32>> = rows
        .par_iter()
        .map(|a| rows.iter().map(|b| distance(a, b) as f32).collect())
        .collect();
    let mut rng = TrainRng::new(seed);
    let mut found: Vec<f64> = (0..splits.max(1))
        .map(|_| {
            let mut side = vec![false; n];
            let mut order: Vec<usize> = (0..n).collect();
            for last in (1..n).rev() {
                order.swap(last, rng.below(last + 1));
            }
            for &index in order.iter().take(n / 2) {
                if let Some(slot) = side.get_mut(index) {
                    *slot = true;
                }
            }
            halves_distance(&table, &side)
        })
        .collect();
    found.sort_by(f64::total_cmp);
    let mean = found.iter().sum::<f64>() / found.len() as f64;
    let rank = (0.95 * found.len() as f64).ceil() as usize;
    Some((mean, found.get(rank.saturating_sub(1)).copied().unwrap_or(mean)))
}

/// Returns D² between the rows on one side and those on the other, from all distances.
fn halves_distance(table: &[Vec<f32>], side: &[bool]) -> f64 {
    let (mut inside, mut outside, mut across) = (0.0, 0.0, 0.0);
    for (row, &a) in table.iter().zip(side) {
        for (&d, &b) in row.iter().zip(side) {
            let d = f64::from(d);
            match (a, b) {
                (true, true) => inside += d,
                (false, false) => outside += d,
                _ => across += d,
            }
        }
    }
    let m = side.iter().filter(|s| **s).count() as f64;
    let k = side.len() as f64 - m;
    across / (m * k) - inside / (m * (m - 1.0)) - outside / (k * (k - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normals(count: usize, shift: f32, seed: u64) -> Vec<f32> {
        let mut rng = crate::rng::TrainRng::new(seed);
        (0..count).map(|_| rng.normal() + shift).collect()
    }

    /// In one dimension the distance of N(0, 1) and N(s, 1) has a closed form: ⟨|N(m, 2)|⟩ is known.
    #[test]
    fn two_normals_are_as_far_apart_as_the_formula_says() {
        let absolute = |m: f64| 2.0 / std::f64::consts::PI.sqrt() * (-m * m / 4.0).exp() + m * libm::erf(m / 2.0);
        for shift in [0.0f32, 0.5, 2.0] {
            let (x, y) = (normals(4000, 0.0, 1), normals(3000, shift, 2));
            let rows = |values| Points { dim: 1, values };
            let found = energy_distance(rows(&x), rows(&y));
            let exact = 2.0 * (absolute(f64::from(shift)) - absolute(0.0));
            assert!((found - exact).abs() < 0.05 * exact + 2e-3, "{shift}: {found} {exact}");
        }
    }

    /// The definition as written, pair by pair, in f64.
    fn naive(x: &[[f32; 3]], y: &[[f32; 3]]) -> f64 {
        let length = |a: &[f32; 3], b: &[f32; 3]| {
            let squares = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
            squares.sum::<f64>().sqrt()
        };
        let within = |rows: &[[f32; 3]]| {
            let (mut sum, mut pairs) = (0.0, 0);
            for (i, a) in rows.iter().enumerate() {
                for (j, b) in rows.iter().enumerate() {
                    if i != j {
                        sum += length(a, b);
                        pairs += 1;
                    }
                }
            }
            sum / f64::from(pairs)
        };
        let between = x.iter().flat_map(|a| y.iter().map(move |b| length(a, b))).sum::<f64>();
        2.0 * between / (x.len() * y.len()) as f64 - within(x) - within(y)
    }

    #[test]
    fn the_diagonal_is_left_out() {
        let (x, y) = (normals(3 * 40, 0.0, 4), normals(3 * 25, 0.3, 5));
        let rows = |values| Points { dim: 3, values };
        let found = energy_distance(rows(&x), rows(&y));
        let exact = naive(x.as_chunks().0, y.as_chunks().0);
        // Single distances are summed in f32.
        assert!((found - exact).abs() < 1e-6, "{found} {exact}");
        // Two pairs of points in one dimension: 2·2 − 1 − 1.
        let (x, y) = ([0.0, 1.0], [2.0, 3.0]);
        let [x, y] = [&x, &y].map(|values| Points { dim: 1, values });
        assert_eq!(energy_distance(x, y), 2.0);
    }

    #[test]
    fn the_floor_is_what_the_halves_give() {
        let values = normals(1200, 0.0, 3);
        let (mean, high) = noise_floor(
            Points {
                dim: 3,
                values: &values,
            },
            40,
            1,
        )
        .unwrap();
        assert!(mean.abs() < 0.01 && high > mean && high < 0.05, "{mean} {high}");
        let rows = Points {
            dim: 3,
            values: &values,
        };
        let half = values.len() / 2;
        let side: Vec<bool> = (0..rows.len()).map(|i| i < rows.len() / 2).collect();
        let table: Vec<Vec<f32>> = rows
            .iter()
            .map(|a| rows.iter().map(|b| distance(a, b) as f32).collect())
            .collect();
        let (x, y) = values.split_at(half);
        let direct = energy_distance(Points { dim: 3, values: x }, Points { dim: 3, values: y });
        assert!((halves_distance(&table, &side) - direct).abs() < 1e-6);
    }
}
