//! The error of x̂ over a grid of γ.

use crate::data::Dataset;
use crate::fused::elbo::Rows;
use crate::progress::Progress;
use crate::rng::TrainRng;
use crate::train::checkpoint::Run;
use crate::train::config::DecoderKind;
use ancestral::schedule::snr;
use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use nalgebra::DMatrix;

/// Covariance of the error, `⟨(x − x̂)(x − x̂)ᵀ⟩`, at each γ of a grid.
pub struct Residuals {
    /// Dimensions D.
    pub dim: usize,
    /// The grid, increasing.
    pub gamma: Vec<f64>,
    /// One matrix for each γ.
    pub covariance: Vec<DMatrix<f64>>,
    /// `⟨−ln p(x | z)⟩` by the network at each γ, in nats per row; empty unless it decodes levels.
    pub level_nats: Vec<f64>,
    /// Number of rows that were noised.
    pub rows: usize,
}

/// Rows in one pass through the network.
const BATCH: usize = 1024;

/// Noises every row of `data` to every γ, `draws` times with the same noise for all γ, and runs the network.
///
/// * `progress`: advances by [`work`] in all.
pub fn measure_residuals(
    run: &Run,
    data: &Dataset,
    grid: &[f64],
    (draws, seed): (usize, u64),
    progress: &Progress,
) -> Result<Residuals> {
    let dim = data.dim;
    let mut rng = TrainRng::new(seed ^ 0x5C_4ED);
    let device = Device::Cpu;
    let mut covariance = vec![DMatrix::zeros(dim, dim); grid.len()];
    let decodes = run.config.model.decoder == DecoderKind::Network && data.levels().is_some();
    let mut level_nats = vec![0.0; if decodes { grid.len() } else { 0 }];
    let mut count = 0usize;
    for _ in 0..draws {
        for rows in data.rows.chunks(BATCH * dim) {
            let n = rows.len() / dim;
            let x = Tensor::from_slice(rows, (n, dim), &device)?;
            let noise = Tensor::from_vec(rng.matched_normals(n, dim), (n, dim), &device)?;
            let noised = Rows::new(&x, &noise, vec![0; n].into())?;
            for (index, (sum, &gamma)) in covariance.iter_mut().zip(grid).enumerate() {
                let z = noised.state(&Tensor::new(&[gamma as f32], &device)?)?;
                let column = Tensor::full(gamma as f32, (n, 1), &device)?;
                let f = run.network.output(&z, &column)?;
                // The operation's unit is that of the noise, 1/√SNR.
                let unit = snr(gamma).sqrt().recip();
                let error = noised.error(&f, &column, run.read_out())?.to_dtype(DType::F64)?;
                let error = (error * unit)?;
                let product: Vec<f64> = error.t()?.matmul(&error)?.flatten_all()?.to_vec1()?;
                *sum += DMatrix::from_row_slice(dim, dim, &product);
                if let Some(sum) = level_nats.get_mut(index) {
                    let nats = noised.level_nats(&f, &column, run.read_out())?;
                    *sum += f64::from(nats.sum_all()?.to_scalar::<f32>()?);
                }
                progress.advance(n as u64);
            }
            count += n;
        }
    }
    for c in &mut covariance {
        *c /= count.max(1) as f64;
    }
    for nats in &mut level_nats {
        *nats /= count.max(1) as f64;
    }
    Ok(Residuals {
        dim,
        gamma: grid.to_vec(),
        covariance,
        level_nats,
        rows: data.len(),
    })
}

/// Units of progress of a measurement: passes of a row through the network.
pub fn work(rows: usize, points: usize, draws: usize) -> u64 {
    (rows * points * draws) as u64
}

/// Mean squared errors per dimension over a grid of γ.
#[derive(Clone, Debug)]
pub struct Diagonals {
    /// The grid.
    pub gamma: Vec<f64>,
    /// One row of D for each of its points.
    pub rows: Vec<Vec<f64>>,
}

impl Residuals {
    /// Returns the mean squared errors in a basis (its columns), or in that of the data.
    pub fn diagonals(&self, basis: Option<&DMatrix<f64>>) -> Diagonals {
        let diagonal = |c: &DMatrix<f64>| match basis {
            None => c.diagonal().as_slice().to_vec(),
            Some(u) => (c * u).component_mul(u).row_sum().as_slice().to_vec(),
        };
        Diagonals {
            gamma: self.gamma.clone(),
            rows: self.covariance.iter().map(diagonal).collect(),
        }
    }
}

/// Finds a γ on an increasing grid: the point before it, and the fraction of the way to the next. A γ outside is moved
/// to the nearer end.
pub fn locate(grid: &[f64], gamma: f64) -> (usize, f64) {
    let after = grid.partition_point(|&g| g <= gamma);
    match (after.checked_sub(1), grid.get(after)) {
        (None, _) => (0, 0.0),
        (Some(index), None) => (index, 0.0),
        (Some(index), Some(next)) => {
            let here = grid.get(index).copied().unwrap_or(gamma);
            (index, (gamma - here) / (next - here))
        }
    }
}

impl Diagonals {
    /// Errors at a point of the grid.
    pub fn row(&self, index: usize) -> &[f64] {
        self.rows.get(index).map_or(&[], Vec::as_slice)
    }

    /// Errors at any γ, linear between the points of the grid.
    pub fn interpolate(&self, gamma: f64) -> Vec<f64> {
        let (index, share) = locate(&self.gamma, gamma);
        let (low, high) = (self.row(index), self.row(index + 1));
        let high = if high.is_empty() { low } else { high };
        low.iter().zip(high).map(|(a, b)| a + share * (b - a)).collect()
    }
}
