//! The distribution of the normals, as both number formats draw them.

use ancestral::Q3_12;
use ancestral::number::Number;
use rand_xoshiro::{Xoshiro128PlusPlus, rand_core::SeedableRng};

const DRAWS: usize = 1_000_000;

fn draws<N: Number>() -> Vec<f64> {
    let mut rng = Xoshiro128PlusPlus::seed_from_u64(17);
    (0..DRAWS).map(|_| f64::from(N::normal(&mut rng).to_f32())).collect()
}

fn check(mut values: Vec<f64>, resolution: f64) {
    let n = values.len() as f64;
    let moment = |k: i32| values.iter().map(|v| v.powi(k)).sum::<f64>() / n;
    // Standard errors of the raw moments of a standard normal: √(1, 2, 15, 96)/√n.
    for (k, expected, variance) in [(1, 0.0, 1.0f64), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
        let error = (variance / n).sqrt();
        assert!(
            (moment(k) - expected).abs() < 4.5 * error,
            "moment {k}: {} (error {error})",
            moment(k)
        );
    }
    let serial = values.windows(2).map(|w| w[0] * w[1]).sum::<f64>() / n;
    assert!(serial.abs() < 4.5 / n.sqrt(), "serial correlation {serial}");
    for sigmas in [2.0, 3.0, 4.0] {
        let expected = n * libm::erfc(sigmas / 2f64.sqrt());
        let seen = values.iter().filter(|v| v.abs() > sigmas + 0.5 * resolution).count() as f64;
        assert!(
            (seen - expected).abs() < 4.5 * expected.sqrt() + 1.0,
            "beyond {sigmas}: {seen}, not {expected}"
        );
    }
    // Kolmogorov–Smirnov; in half a last place of the format the distribution may move by its density.
    values.sort_by(f64::total_cmp);
    let distance = values.iter().enumerate().fold(0.0f64, |worst, (i, &v)| {
        let cdf = 0.5 * libm::erfc(-v / 2f64.sqrt());
        worst
            .max((cdf - i as f64 / n).abs())
            .max((cdf - (i + 1) as f64 / n).abs())
    });
    let tied = 0.4 * resolution;
    assert!(
        distance < 1.63 / n.sqrt() + tied,
        "KS distance {distance} (1 % point {})",
        1.63 / n.sqrt()
    );
}

#[test]
fn float_normals() {
    check(draws::<f32>(), 0.0);
}

#[test]
fn fixed_point_normals() {
    check(draws::<Q3_12>(), 1.0 / 4096.0);
}

#[test]
fn both_formats_draw_the_same_noise() {
    let (f, q) = (draws::<f32>(), draws::<Q3_12>());
    assert!(f.iter().zip(&q).all(|(f, q)| (f - q).abs() <= 0.5 / 4096.0 + 1e-6));
}
