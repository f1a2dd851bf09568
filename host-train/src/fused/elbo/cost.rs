//! The nats of a batch's steps, reduced to the reconstruction and the diffusion term.

#[cfg(feature = "cuda")]
use super::gpu::OnGpu;
use super::rows::{LastStep, RowSlices, Rows, narrow};
use crate::fused::lanes;
use crate::fused::read_out::{ReadOut, RowReadOut, RowResults};
use crate::fused::storage::slice;
#[cfg(feature = "cuda")]
use crate::fused::{
    cuda::{self, Gpu, Held},
    device,
};
use ancestral::schedule::Prediction;
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use std::f64::consts::PI;
use std::sync::OnceLock;

impl Rows {
    /// Computes reconstruction and diffusion in nats per row, `(2)`, with the posterior's own variance. The rows at t =
    /// 0 are decoded by the network: into levels if it predicts odds, otherwise by a Gaussian of the variance 1/SNR_0.
    ///
    /// * `output`: the network's, `(n, D)`;
    /// * `table`: of γ, `(T + 1)`;
    /// * `start_fraction`: fraction of all rows that fall on t = 0 on average, below 1.
    pub fn cost(&self, output: &Tensor, table: &Tensor, read_out: ReadOut, start_fraction: f64) -> Result<Tensor> {
        self.check_table(table)?;
        self.check_output(output)?;
        if start_fraction <= 0.0 && self.t.contains(&0) {
            candle_core::bail!("fused ELBO: rows at t = 0 need the fraction of the times that fall there")
        }
        let op = Cost {
            rows: self.clone(),
            read_out,
            start_fraction,
            kept: OnceLock::new(),
        };
        output.contiguous()?.apply_op2(&table.contiguous()?, op)
    }
}

struct Cost {
    rows: Rows,
    read_out: ReadOut,
    start_fraction: f64,
    /// Gradients, which the forward pass computes on the way.
    kept: OnceLock<Gradients>,
}

/// Gradients of each row's own term.
struct Gradients {
    by_output: Vec<f32>,
    /// One for the reconstruction and one for the diffusion.
    by_table: [Vec<f64>; 2],
}

/// Constants of a step's nats, `weight·SNR ‖x − x̂‖² + D·constant`.
#[derive(Clone, Copy)]
struct Step {
    read_out: RowReadOut,
    weight: f64,
    constant: f64,
    /// Derivatives of both by γ_t.
    moved: (f64, f64),
}

impl Step {
    fn new(read_out: ReadOut, table: &[f32], t: usize) -> Self {
        let gamma = f64::from(table[t]);
        let read_out = RowReadOut::new(read_out, gamma);
        match t.checked_sub(1) {
            // A Gaussian of the variance 1/SNR_0.
            None => Self {
                read_out,
                weight: 0.5,
                constant: 0.5 * ((2.0 * PI).ln() + gamma),
                moved: (0.0, 0.5),
            },
            // ½ (SNR_s − SNR_t) = ½ expm1(γ_t − γ_s)·SNR_t. Its derivatives by γ_t and γ_s differ in the sign.
            Some(before) => {
                let growth = (gamma - f64::from(table[before])).exp_m1();
                Self {
                    read_out,
                    weight: 0.5 * growth,
                    constant: 0.0,
                    moved: (0.5 * (growth + 1.0), 0.0),
                }
            }
        }
    }
}

impl Cost {
    /// Returns the factors from a row's nats to the terms: one over the numbers of rows, and T.
    fn factors(&self, table: usize) -> [f64; 2] {
        let n = self.rows.t.len().max(1) as f64;
        let (start, steps) = (self.start_fraction, table.max(1) - 1);
        let reconstruction = if start > 0.0 { 1.0 / (start * n) } else { 0.0 };
        [reconstruction, steps as f64 / ((1.0 - start) * n)]
    }

    /// Returns the two terms and their gradients.
    fn evaluate(&self, slices: RowSlices<'_>, table: &[f32]) -> ([f64; 2], Gradients) {
        let dim = slices.dim;
        let levels = matches!(self.read_out.prediction, Prediction::Odds { .. });
        let factors = self.factors(table.len());
        let mut by_output = vec![0.0; slices.output.len()];
        let mut by_table = [(); 2].map(|()| vec![0.0; table.len()]);
        let (mut terms, mut value, mut by_gamma) = ([0.0; 2], vec![0.0; dim], vec![0.0; dim]);
        let mut last = LastStep::new();
        for (row, by_output) in by_output.chunks_exact_mut(dim).enumerate() {
            let t = self.rows.t[row] as usize;
            let step = last.get_or_compute(t as u32, || Step::new(self.read_out, table, t));
            let results = RowResults {
                value: &mut value,
                by_output,
                by_gamma: &mut by_gamma,
            };
            let term = usize::from(t > 0);
            let factor = factors[term];
            let (nats, own) = if t == 0 && levels {
                step.read_out.level_nats(slices.row(row), results);
                lanes::stretch(by_output, factor as f32);
                (lanes::sum(&value), lanes::sum(&by_gamma))
            } else {
                step.read_out.error(slices.row(row), results);
                let square = f64::from(lanes::sum_of_squares(&value));
                let along = f64::from(lanes::dot(&value, &by_gamma));
                lanes::scale(by_output, &value);
                lanes::stretch(by_output, (2.0 * factor * step.weight) as f32);
                let (weight, constant) = step.moved;
                if let Some(before) = t.checked_sub(1) {
                    by_table[term][before] -= factor * weight * square;
                }
                (
                    step.weight * square + dim as f64 * step.constant,
                    weight * square + 2.0 * step.weight * along + dim as f64 * constant,
                )
            };
            terms[term] += factor * nats;
            by_table[term][t] += factor * own;
        }
        (terms, Gradients { by_output, by_table })
    }
}

impl CustomOp2 for Cost {
    fn name(&self) -> &'static str {
        "fused-cost"
    }

    fn cpu_fwd(&self, f: &CpuStorage, f_at: &Layout, table: &CpuStorage, at: &Layout) -> Result<(CpuStorage, Shape)> {
        let rows = &self.rows;
        let open = rows.open();
        let slices = RowSlices::new(rows.dim, &open, slice(f, f_at, self.name())?, self.name())?;
        let (terms, gradients) = self.evaluate(slices, slice(table, at, self.name())?);
        self.kept.get_or_init(|| gradients);
        Ok((CpuStorage::F32(terms.map(|v| v as f32).to_vec()), Shape::from(2)))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        f: &CudaStorage,
        f_at: &Layout,
        table: &CudaStorage,
        at: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let gpu = Gpu::from_storage(f);
        let out = gpu.alloc(2)?;
        let own = OnGpu::new(&self.rows)?;
        let cost = device::elbo::Cost {
            rows: own.rows(cuda::span(table, at)?)?,
            output: cuda::span(f, f_at)?,
            read_out: self.read_out,
            start_fraction: self.start_fraction,
        };
        cost.forward(&gpu, gpu.span(&out))?;
        Ok((gpu.storage(out), Shape::from(2)))
    }

    fn bwd(
        &self,
        f: &Tensor,
        table: &Tensor,
        _terms: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        #[cfg(feature = "cuda")]
        if f.device().is_cuda() {
            return self.gradients_on_gpu(f, table, gradient);
        }
        let Some(kept) = self.kept.get() else {
            candle_core::bail!("fused ELBO: a gradient without a forward pass")
        };
        let upstream: Vec<f32> = gradient.to_vec1()?;
        let [reconstruction, diffusion] = upstream[..] else {
            candle_core::bail!("fused ELBO: the gradient of two terms has two numbers")
        };
        let mut by_output = kept.by_output.clone();
        for (row, &t) in by_output.chunks_exact_mut(self.rows.dim).zip(self.rows.t.iter()) {
            lanes::stretch(row, if t == 0 { reconstruction } else { diffusion });
        }
        let [first, rest] = &kept.by_table;
        let by_table: Vec<f64> = first
            .iter()
            .zip(rest)
            .map(|(first, rest)| f64::from(reconstruction) * first + f64::from(diffusion) * rest)
            .collect();
        let by_output = Tensor::from_vec(by_output, f.shape(), f.device())?;
        Ok((Some(by_output), Some(narrow(&by_table, table)?)))
    }
}

#[cfg(feature = "cuda")]
impl Cost {
    fn gradients_on_gpu(
        &self,
        f: &Tensor,
        table: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = &gradient.contiguous()?;
        let gpu = Gpu::new(f.device())?;
        let (by_output, by_table) = (gpu.tensor(f.shape())?, gpu.tensor(table.shape())?);
        {
            let own = OnGpu::new(&self.rows)?;
            let (f, table, gradient) = (Held::new(f)?, Held::new(table)?, Held::new(gradient)?);
            let (to_output, to_table) = (Held::new(&by_output)?, Held::new(&by_table)?);
            let cost = device::elbo::Cost {
                rows: own.rows(table.span()?)?,
                output: f.span()?,
                read_out: self.read_out,
                start_fraction: self.start_fraction,
            };
            cost.backward(&gpu, gradient.span()?, to_output.span()?, to_table.span()?)?;
        }
        Ok((Some(by_output), Some(by_table)))
    }
}
