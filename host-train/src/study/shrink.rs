//! Errors to expect on unseen rows, estimated from many training rows and few unseen ones.
//!
//! On its training rows a network errs too little, in some directions more so than in others. A few hundred unseen rows
//! show by how much. But a variance measured on n of them is itself off by `√(2/n)`, and the cost to a step grows with
//! the square of that.
//!
//! So the expected error of a direction starts from its error on training rows. This is scaled by the growth of the
//! error on unseen rows at that γ, over all directions. The result is drawn towards the error measured on unseen rows.
//! It counts as much as the number of rows that best predicts one half of the unseen rows from the other.

use super::cost::{best_cost, cost, ratio};
use super::residuals::{Diagonals, Residuals};
use nalgebra::DMatrix;

/// Candidates for the number of rows that the scaled errors of the training rows count for.
const WEIGHTS: [f64; 7] = [0.0, 50.0, 100.0, 200.0, 400.0, 1600.0, f64::INFINITY];

/// Returns the errors to expect on unseen rows.
///
/// * `train`: errors on training rows;
/// * `halves`: errors on two halves of unseen rows;
/// * `path`: γ of the steps that the weights are compared on.
pub fn expect_unseen(
    train: &Diagonals,
    halves: &[Residuals; 2],
    basis: Option<&DMatrix<f64>>,
    path: &[f64],
) -> Diagonals {
    let [a, b] = halves.each_ref().map(|half| half.diagonals(basis));
    let rows = halves.each_ref().map(|half| half.rows as f64);
    let costs = WEIGHTS.map(|weight| {
        excess(path, &blend(train, &a, rows[0], weight), &b) + excess(path, &blend(train, &b, rows[1], weight), &a)
    });
    let best = costs.iter().zip(WEIGHTS).min_by(|x, y| x.0.total_cmp(y.0));
    let weight = best.map_or(f64::INFINITY, |(_, weight)| weight);
    let both = Diagonals {
        gamma: a.gamma.clone(),
        rows: a.rows.iter().zip(&b.rows).map(|(a, b)| mean(a, b, rows)).collect(),
    };
    at_least(train, &blend(train, &both, rows[0] + rows[1], weight))
}

/// Raises expected errors to those on training rows.
///
/// A network errs no less on unseen rows than on those that it has learned from. Where a few validation rows say so,
/// they lack what is rare in the data, and samples would lack it too.
fn at_least(learned: &Diagonals, expected: &Diagonals) -> Diagonals {
    let row = |(learned, expected): (&Vec<f64>, &Vec<f64>)| {
        let pair = learned.iter().zip(expected);
        pair.map(|(l, e)| l.max(*e)).collect()
    };
    Diagonals {
        gamma: expected.gamma.clone(),
        rows: learned.rows.iter().zip(&expected.rows).map(row).collect(),
    }
}

fn mean(a: &[f64], b: &[f64], rows: [f64; 2]) -> Vec<f64> {
    let [m, n] = rows;
    a.iter().zip(b).map(|(a, b)| (m * a + n * b) / (m + n)).collect()
}

/// Returns `(n·unseen + weight·growth·learned)/(n + weight)`, with the growth common to all directions of a γ.
fn blend(learned: &Diagonals, unseen: &Diagonals, n: f64, weight: f64) -> Diagonals {
    let share = if weight.is_finite() { n / (n + weight) } else { 0.0 };
    let row = |(learned, unseen): (&Vec<f64>, &Vec<f64>)| {
        let growth = unseen.iter().sum::<f64>() / learned.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        let pair = learned.iter().zip(unseen);
        pair.map(|(l, u)| share * u + (1.0 - share) * growth * l).collect()
    };
    Diagonals {
        gamma: learned.gamma.clone(),
        rows: learned.rows.iter().zip(&unseen.rows).map(row).collect(),
    }
}

/// Excess cost of the steps of a path over the least possible, with variances chosen by `expected` and errors `found`.
fn excess(path: &[f64], expected: &Diagonals, found: &Diagonals) -> f64 {
    let steps = path.windows(2).map(|pair| {
        let [s, t] = *pair else { return 0.0 };
        let (chosen, errors) = (expected.interpolate(t), found.interpolate(t));
        let ratios: Vec<f64> = chosen.iter().map(|e| ratio(s, t, *e)).collect();
        cost(s, t, &ratios, &errors) - best_cost(s, t, &errors)
    });
    steps.sum()
}
