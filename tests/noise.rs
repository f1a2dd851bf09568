//! The distribution of the normals over ten million draws, as the float formats and as the integer formats draw them.
//!
//! `cargo test --release --test noise -- --nocapture` prints the statistics.

use ancestral::Q3_12;
use ancestral::number::Number;
use rand_xoshiro::{Xoshiro128PlusPlus, rand_core::Rng, rand_core::SeedableRng};

const DRAWS: usize = 10_000_000;
/// Standard errors that a moment, a count or a correlation may be off: one draw in 150,000 such statistics.
const SIGMAS: f64 = 4.5;

fn draws<N: Number>(seed: u64) -> Vec<N> {
    let mut rng = Xoshiro128PlusPlus::seed_from_u64(seed);
    (0..DRAWS).map(|_| N::normal(&mut rng)).collect()
}

/// P(X > x) of the standard normal, exact in the far tail too.
fn survival(x: f64) -> f64 {
    0.5 * libm::erfc(x / std::f64::consts::SQRT_2)
}

/// Mean, variance, skewness, kurtosis, tails on both sides, and correlations of values and squares with their
/// followers.
fn check_values(name: &str, values: &[f64], resolution: f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let central = |k: i32| values.iter().map(|v| (v - mean).powi(k)).sum::<f64>() / n;
    let variance = central(2);
    let skewness = central(3) / variance.powf(1.5);
    let kurtosis = central(4) / (variance * variance);
    // What rounding to a grid adds to the variance.
    let rounding = resolution * resolution / 12.0;
    for (what, found, expected, spread) in [
        ("mean", mean, 0.0, 1.0f64),
        ("variance", variance, 1.0 + rounding, 2.0),
        ("skewness", skewness, 0.0, 6.0),
        ("kurtosis", kurtosis, 3.0, 24.0),
    ] {
        let error = (spread / n).sqrt();
        let off = (found - expected) / error;
        println!("{name:>6} {what:<12} {found:>10.6}  {off:>+6.2} standard errors");
        assert!(
            off.abs() < SIGMAS,
            "{name}: {what} {found} is {off} standard errors off"
        );
    }
    for sigmas in [1.0, 2.0, 3.0, 3.5, 4.0, 4.5] {
        for sign in [1.0, -1.0] {
            // A grid value stands for half a step on either side: count from the middle between two.
            let cut = if resolution > 0.0 {
                (f64::floor(sigmas / resolution) + 0.5) * resolution
            } else {
                sigmas
            };
            let expected = n * survival(cut);
            let seen = values.iter().filter(|v| sign * **v > cut).count() as f64;
            let off = (seen - expected) / expected.sqrt();
            println!(
                "{name:>6} beyond {:+.1}  {seen:>9.0} of {expected:>11.1}  {off:>+6.2} standard errors",
                sign * sigmas
            );
            assert!(off.abs() < SIGMAS, "{name}: {seen} beyond {sigmas}, not {expected}");
        }
    }
    for lag in 1..=8 {
        let pairs = || values.iter().zip(values.iter().skip(lag));
        let plain = pairs().map(|(a, b)| a * b).sum::<f64>() / n.sqrt();
        let squares = pairs().map(|(a, b)| (a * a - 1.0) * (b * b - 1.0)).sum::<f64>() / (2.0 * n.sqrt());
        println!("{name:>6} lag {lag}: correlation {plain:>+6.2}, of squares {squares:>+6.2} standard errors");
        assert!(plain.abs() < SIGMAS, "{name}: serial correlation at lag {lag}: {plain}");
        assert!(
            squares.abs() < SIGMAS,
            "{name}: correlation of squares at lag {lag}: {squares}"
        );
    }
}

/// Kolmogorov–Smirnov and Anderson–Darling against the uniform distribution. Each probability comes with its
/// complement, so that neither end loses digits.
fn check_distribution(name: &str, mut probabilities: Vec<(f64, f64)>) {
    probabilities.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
    let n = probabilities.len() as f64;
    let mut distance = 0.0f64;
    let mut sum = 0.0;
    for (i, (below, _)) in probabilities.iter().enumerate() {
        distance = distance
            .max((below - i as f64 / n).abs())
            .max((below - (i + 1) as f64 / n).abs());
        let (_, above) = probabilities[probabilities.len() - 1 - i];
        sum += (2 * i + 1) as f64 * (below.ln() + above.ln());
    }
    let ks = distance * n.sqrt();
    let ad = -n - sum / n;
    println!("{name:>6} Kolmogorov-Smirnov {ks:.3} (1 % point 1.628), Anderson-Darling {ad:.3} (1 % point 3.857)");
    assert!(ks < 1.628, "{name}: Kolmogorov–Smirnov {ks}");
    assert!(ad < 3.857, "{name}: Anderson–Darling {ad}");
}

#[test]
fn float_normals() {
    let values: Vec<f64> = draws::<f32>(17).iter().map(|&v| f64::from(v)).collect();
    check_values("float", &values, 0.0);
    check_distribution("float", values.iter().map(|&v| (survival(-v), survival(v))).collect());
}

#[test]
fn fixed_point_normals() {
    const STEP: f64 = 1.0 / 4096.0;
    let values: Vec<f64> = draws::<Q3_12>(18).iter().map(|v| f64::from(v.to_f32())).collect();
    check_values("Q3.12", &values, STEP);
    // Under a correctly rounded normal, a point drawn evenly from the probability of a value's cell is uniform.
    let mut rng = Xoshiro128PlusPlus::seed_from_u64(19);
    let probabilities = values.iter().map(|&v| {
        let share = (f64::from(rng.next_u32()) + 0.5) / 2f64.powi(32);
        let (low, high) = (v - 0.5 * STEP, v + 0.5 * STEP);
        let mix = |f: &dyn Fn(f64) -> f64| f(low) + share * (f(high) - f(low));
        (mix(&|x| survival(-x)), mix(&survival))
    });
    check_distribution("Q3.12", probabilities.collect());
}

#[test]
fn both_formats_draw_the_same_noise() {
    let (f, q) = (draws::<f32>(17), draws::<Q3_12>(17));
    let half = 0.5 / 4096.0 + 1e-6;
    assert!(f.iter().zip(&q).all(|(f, q)| (f - q.to_f32()).abs() <= half));
}
