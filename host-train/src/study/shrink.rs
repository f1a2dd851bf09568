//! The errors to expect on unseen rows, from the errors on many learnt rows and on few unseen ones.
//!
//! On the rows that it was trained on a network errs too little, more so in some directions than in others; a few hundred unseen rows say by how
//! much, but a variance measured on n of them is itself off by `√(2/n)`, and what it costs a step grows with the square of that. So the expected
//! error of a direction is the learnt one, times how much larger errors are on unseen rows at that γ over all directions, drawn towards the one measured
//! on unseen rows as if it stood for so many rows as predict one half of the unseen rows best from the other.

use super::cost::best_cost;
use super::residuals::{Diagonals, Residuals};
use nalgebra::DMatrix;

/// How many rows the scaled errors of the learnt rows may count for.
const WEIGHTS: [f64; 7] = [0.0, 50.0, 100.0, 200.0, 400.0, 1600.0, f64::INFINITY];
/// * `train`: of the learnt rows;
/// * `halves`: of unseen ones;
/// * `path`: γ of the steps that the weights are compared on.
pub fn expected(train: &Diagonals, halves: &[Residuals; 2], basis: Option<&DMatrix<f64>>, path: &[f64]) -> Diagonals {
    let [a, b] = halves.each_ref().map(|half| half.diagonals(basis));
    let rows = halves.each_ref().map(|half| half.rows as f64);
    let costs = WEIGHTS.map(|weight| {
        cost(path, &blend(train, &a, rows[0], weight), &b) + cost(path, &blend(train, &b, rows[1], weight), &a)
    });
    let best = costs.iter().zip(WEIGHTS).min_by(|x, y| x.0.total_cmp(y.0));
    let weight = best.map_or(f64::INFINITY, |(_, weight)| weight);
    let both = Diagonals {
        gamma: a.gamma.clone(),
        rows: a.rows.iter().zip(&b.rows).map(|(a, b)| mean(a, b, rows)).collect(),
    };
    blend(train, &both, rows[0] + rows[1], weight)
}

fn mean(a: &[f64], b: &[f64], rows: [f64; 2]) -> Vec<f64> {
    let [m, n] = rows;
    a.iter().zip(b).map(|(a, b)| (m * a + n * b) / (m + n)).collect()
}

/// `(n·unseen + weight·growth·learnt)/(n + weight)`, the growth common to all directions of a γ.
fn blend(learnt: &Diagonals, unseen: &Diagonals, n: f64, weight: f64) -> Diagonals {
    let share = if weight.is_finite() { n / (n + weight) } else { 0.0 };
    let of = |(learnt, unseen): (&Vec<f64>, &Vec<f64>)| {
        let growth = unseen.iter().sum::<f64>() / learnt.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        let pair = learnt.iter().zip(unseen);
        pair.map(|(l, u)| share * u + (1.0 - share) * growth * l).collect()
    };
    Diagonals {
        gamma: learnt.gamma.clone(),
        rows: learnt.rows.iter().zip(&unseen.rows).map(of).collect(),
    }
}

/// What the steps of a path cost, beyond the least that they could, where the variances are chosen by `expected` and the errors are `found`.
fn cost(path: &[f64], expected: &Diagonals, found: &Diagonals) -> f64 {
    let steps = path.windows(2).map(|pair| {
        let [s, t] = *pair else { return 0.0 };
        let (chosen, errors) = (expected.at(t), found.at(t));
        let ratios: Vec<f64> = chosen.iter().map(|e| super::cost::ratio(s, t, *e)).collect();
        super::cost::cost(s, t, &ratios, &errors) - best_cost(s, t, &errors)
    });
    steps.sum()
}
