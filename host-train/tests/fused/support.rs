//! Numbers, and their comparison.

use candle_core::{DType, Device, Shape, Tensor, Var};
use host_train::rng::TrainRng;

/// Numbers whose sums of products are exact in f32 for two layers, so that all have the same sign in f64.
pub fn coarse(n: usize, rng: &mut TrainRng) -> Vec<f32> {
    (0..n).map(|_| (rng.below(17) as f32 - 8.0) / 8.0).collect()
}

/// Normal numbers.
pub fn fine(n: usize, rng: &mut TrainRng) -> Vec<f32> {
    (0..n).map(|_| 0.5 * rng.normal()).collect()
}

/// The numbers of a tensor in f64.
pub fn wide(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap();
    flat.to_vec1().unwrap()
}

/// Fails unless all numbers agree within a share of the largest.
pub fn close(found: &[f64], expected: &[f64], share: f64, name: &str) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let largest = expected.iter().fold(1e-3f64, |m, v| m.max(v.abs()));
    for (a, b) in found.iter().zip(expected) {
        assert!(
            (a - b).abs() <= share * largest,
            "{name}: {a} instead of {b}, largest {largest}"
        );
    }
}

/// A parameter with these values.
pub fn var(values: &[f32], shape: impl Into<Shape>, dtype: DType, device: &Device) -> Var {
    let tensor = Tensor::from_slice(values, shape, device).unwrap();
    Var::from_tensor(&tensor.to_dtype(dtype).unwrap()).unwrap()
}
