//! Small models made on the spot.
#![allow(dead_code)] // each test program uses its own part

use ancestral::fixed::{NarrowRequant, WideRequant};
use ancestral::kernel::portable::pack_rows;
use ancestral::model::{LayerSpec, ModelSpec};
use ancestral::schedule::Prediction;
use ancestral::{F16, F32, Format, W8A16};
use half::f16;

/// `(rows, columns)` of the layers: 6 dimensions, two hidden layers of 11 (odd, so that packed rows have a half-empty byte).
pub const SIZES: [(usize, usize); 3] = [(11, 6), (11, 11), (6, 11)];
/// Of the model that all cores run: long enough rows for every kernel's blocks and for what is left over, small enough for 16 KiB.
pub const PARITY: [(usize, usize); 3] = [(37, 9), (37, 37), (9, 37)];

/// A repeatable value in [−1, 1).
pub fn value(index: usize) -> f32 {
    ((index as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32 - 1.0
}

fn gamma(steps: usize) -> Vec<f32> {
    (0..=steps).map(|t| -5.0 + 10.0 * t as f32 / steps as f32).collect()
}

/// A model of floats with `steps` steps.
pub fn float_spec(steps: usize) -> ModelSpec<F32> {
    float_spec_of(&SIZES, steps)
}

/// A model of floats with layers of these sizes.
pub fn float_spec_of(sizes: &[(usize, usize); 3], steps: usize) -> ModelSpec<F32> {
    let layer = |index: usize| {
        let (rows, columns) = sizes[index];
        LayerSpec {
            rows,
            columns,
            relu: index < 2,
            residual: index == 1,
            packed: false,
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
        exponents: Vec::new(),
        variance: None,
        eta: 1.0,
        layers: (0..3).map(layer).collect(),
    }
}

/// What a specification in another format has in common with that of floats.
fn with_layers<F: Format>(float: &ModelSpec<F32>, layers: Vec<LayerSpec<F>>) -> ModelSpec<F> {
    ModelSpec {
        prediction: float.prediction,
        clip: float.clip,
        levels: float.levels,
        gamma: float.gamma.clone(),
        mean: float.mean.clone(),
        scale: float.scale.clone(),
        note: float.note.clone(),
        exponents: Vec::new(),
        variance: float.variance.clone(),
        eta: float.eta,
        layers,
    }
}

/// The same network in half precision.
pub fn half_spec(float: &ModelSpec<F32>) -> ModelSpec<F16> {
    let half = |values: &[f32]| values.iter().map(|&v| f16::from_f32(v)).collect();
    let layers = float.layers.iter().map(|layer| LayerSpec {
        rows: layer.rows,
        columns: layer.columns,
        relu: layer.relu,
        residual: layer.residual,
        packed: false,
        weights: half(&layer.weights),
        biases: half(&layer.biases),
        requant: Vec::new(),
    });
    with_layers(float, layers.collect())
}

/// In 8-bit weights and 16-bit activations, hidden ones in Q3.12 too.
pub fn integer_spec(float: &ModelSpec<F32>) -> ModelSpec<W8A16> {
    let layers = float.layers.iter().map(|layer| LayerSpec {
        rows: layer.rows,
        columns: layer.columns,
        relu: layer.relu,
        residual: layer.residual,
        packed: false,
        weights: layer.weights.iter().map(|w| (w * 127.0) as i8).collect(),
        biases: layer.biases.iter().map(|b| (b * 4096.0) as i16).collect(),
        requant: vec![WideRequant::from_factor(1.0 / 127.0).unwrap(); layer.rows],
    });
    with_exponents(with_layers(float, layers.collect()))
}

/// In 8-bit activations of up to 4; the hidden layers' weights in `bits` bits (8, or 4 where the format packs).
pub fn byte_spec<F>(float: &ModelSpec<F32>, bits: u32) -> ModelSpec<F>
where
    F: Format<Weight = i8, Bias = i16, Requant = NarrowRequant>,
{
    const STATE: f64 = 1.0 / 4096.0;
    const HIDDEN: f64 = 4.0 / 255.0;
    const BEFORE: [u8; 3] = [8, 4, 1];
    let last = float.layers.len() - 1;
    let mut layers = Vec::new();
    for (index, layer) in float.layers.iter().enumerate() {
        let packed = bits == 4 && index != 0 && index != last;
        let largest = if packed { 7.0 } else { 127.0 };
        let input = if index == 0 { STATE } else { HIDDEN };
        let output = if index == last { STATE } else { HIDDEN };
        let unit = input / largest;
        let plain: Vec<i8> = layer.weights.iter().map(|&w| (f64::from(w) * largest) as i8).collect();
        let before = BEFORE[index];
        let requant = plain.chunks(layer.columns).map(|row| NarrowRequant {
            offset: if index == 0 {
                0
            } else {
                128 * row.iter().map(|&w| i32::from(w)).sum::<i32>()
            },
            ..NarrowRequant::from_factor(unit / output, before).unwrap()
        });
        let bias_unit = unit * f64::from(1 << before);
        layers.push(LayerSpec {
            rows: layer.rows,
            columns: layer.columns,
            relu: layer.relu,
            residual: layer.residual,
            packed,
            requant: requant.collect(),
            biases: layer
                .biases
                .iter()
                .map(|&b| (f64::from(b) / bias_unit) as i16)
                .collect(),
            weights: if packed {
                pack_rows(&plain, layer.columns)
            } else {
                plain
            },
        });
    }
    with_exponents(with_layers(float, layers))
}

/// Steps whose hidden activations have a unit of their own; the numbers stay what they are, whatever they then mean.
fn with_exponents<F: Format>(mut spec: ModelSpec<F>) -> ModelSpec<F> {
    let steps = spec.gamma.len() - 1;
    spec.exponents = (0..steps).map(|t| [0, 1, 0, 2, 1][t % 5]).collect();
    spec
}
