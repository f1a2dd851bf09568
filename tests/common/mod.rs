//! Small models made on the spot.
#![allow(dead_code)] // each test program uses its own part

use ancestral::fixed::Requant;
use ancestral::model::{LayerSpec, ModelSpec};
use ancestral::schedule::Prediction;
use ancestral::{F32, W8A16};

/// `(rows, columns)` of the layers: 6 dimensions, two hidden layers of 10.
pub const SIZES: [(usize, usize); 3] = [(10, 6), (10, 10), (6, 10)];

/// A repeatable value in [−1, 1).
pub fn value(index: usize) -> f32 {
    ((index as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32 - 1.0
}

fn gamma(steps: usize) -> Vec<f32> {
    (0..=steps).map(|t| -5.0 + 10.0 * t as f32 / steps as f32).collect()
}

/// A model of floats with `steps` steps.
pub fn float_spec(steps: usize) -> ModelSpec<F32> {
    let layer = |index: usize| {
        let (rows, columns) = SIZES[index];
        LayerSpec {
            rows,
            columns,
            relu: index < 2,
            residual: index == 1,
            weights: (0..rows * columns)
                .map(|i| value(1000 * index + i) / (columns as f32).sqrt())
                .collect(),
            biases: (0..rows * steps)
                .map(|i| 0.2 * value(500_000 + 1000 * index + i))
                .collect(),
            requant: Vec::new(),
        }
    };
    ModelSpec {
        prediction: Prediction::V,
        clip: true,
        levels: 17,
        gamma: gamma(steps),
        mean: Vec::new(),
        scale: Vec::new(),
        note: "a test".to_owned(),
        layers: (0..3).map(layer).collect(),
    }
}

/// The same shape in integers.
pub fn integer_spec(steps: usize) -> ModelSpec<W8A16> {
    let float = float_spec(steps);
    let layers = float.layers.iter().map(|layer| LayerSpec {
        rows: layer.rows,
        columns: layer.columns,
        relu: layer.relu,
        residual: layer.residual,
        weights: layer.weights.iter().map(|w| (w * 127.0) as i8).collect(),
        biases: layer.biases.iter().map(|b| (b * 127.0 * 4096.0) as i32).collect(),
        requant: vec![Requant::from_factor(1.0 / 127.0).unwrap(); layer.rows],
    });
    ModelSpec {
        prediction: float.prediction,
        clip: float.clip,
        levels: float.levels,
        gamma: float.gamma.clone(),
        mean: Vec::new(),
        scale: Vec::new(),
        note: float.note.clone(),
        layers: layers.collect(),
    }
}
