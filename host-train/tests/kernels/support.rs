//! Numbers, and their comparison.

use host_train::rng::TrainRng;

/// Normal numbers.
pub fn normals(n: usize, rng: &mut TrainRng) -> Vec<f32> {
    (0..n).map(|_| 0.5 * rng.normal()).collect()
}

/// Fails unless all numbers agree within a share of the largest.
pub fn close(found: &[f32], expected: &[f32], share: f32, name: &str) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let largest = expected.iter().fold(1e-3f32, |m, v| m.max(v.abs()));
    for (place, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!(
            (a - b).abs() <= share * largest,
            "{name}, place {place}: {a} instead of {b}, largest {largest}"
        );
    }
}
