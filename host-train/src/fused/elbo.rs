//! The diffusion term on both sides of the network, as two operations: the state z_t that goes in, and the weighted,
//! reduced cost of the output.

use super::index::Index;
use super::lanes;
use super::storage::{Open, slice};
#[cfg(feature = "cuda")]
use super::{
    cuda::{self, Gpu, Held},
    device,
};
use ancestral::schedule::Prediction;
use ancestral::schedule::{self, alpha, sigma, snr};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};
use std::sync::Arc;

/// Operands of both operations: the data, the noise, and each row's step.
#[derive(Clone)]
pub struct Rows {
    x: Tensor,
    noise: Tensor,
    /// Steps on the host; empty if the data is on a GPU.
    t: Arc<Vec<u32>>,
    /// Steps on the GPU that the data is on.
    #[cfg(feature = "cuda")]
    on_gpu: Option<Tensor>,
    dim: usize,
}

impl Rows {
    /// * `x`, `noise`: `(n, D)`, `f32`;
    /// * `t`: n steps, `1..=T`.
    pub fn new(x: &Tensor, noise: &Tensor, t: Index) -> Result<Self> {
        let (n, dim) = x.dims2()?;
        let none = matches!(&t, Index::Host(t) if t.contains(&0));
        if noise.dims() != [n, dim] || t.len() != n || none {
            candle_core::bail!("fused ELBO: the noise and the steps must be those of the {n} rows of data")
        }
        let on_host = !x.device().is_cuda();
        Ok(Self {
            x: x.contiguous()?,
            noise: noise.contiguous()?,
            #[cfg(feature = "cuda")]
            on_gpu: if on_host { None } else { Some(t.tensor(x.device())?) },
            t: Arc::new(if on_host { t.host()?.into_owned() } else { Vec::new() }),
            dim: dim.max(1),
        })
    }

    /// Computes `z_t = α_t x + σ_t ε`, `(n, D)`, from the table of γ, `(T + 1)`.
    pub fn state(&self, table: &Tensor) -> Result<Tensor> {
        self.check(table)?;
        table.contiguous()?.apply_op1(State(self.clone()))
    }

    /// Computes T times the mean cost of the drawn steps, in nats per row, with the posterior's own variance: a scalar.
    ///
    /// * `output`: the network's, `(n, D)`.
    pub fn cost(&self, output: &Tensor, table: &Tensor, prediction: Prediction) -> Result<Tensor> {
        self.check(table)?;
        if output.dims() != self.x.dims() {
            candle_core::bail!("fused ELBO: the network's output must have the data's shape")
        }
        let op = Cost {
            rows: self.clone(),
            prediction,
        };
        output.contiguous()?.apply_op2(&table.contiguous()?, op)
    }

    fn check(&self, table: &Tensor) -> Result<()> {
        let steps = table.dims1()?;
        if self.t.iter().any(|&t| t as usize >= steps) {
            candle_core::bail!("fused ELBO: a row's step is beyond the table of gamma")
        }
        Ok(())
    }

    /// Returns `γ_s, γ_t` of a row.
    fn gammas(&self, table: &[f32], row: usize) -> (f64, f64) {
        let t = self.t[row] as usize;
        (f64::from(table[t - 1]), f64::from(table[t]))
    }
}

/// Constants of a row's step, computed only when the step changes: a batch is ordered by its times.
struct LastStep<T>(Option<(u32, T)>);

impl<T: Copy> LastStep<T> {
    fn get_or_compute(&mut self, t: u32, compute: impl FnOnce() -> T) -> T {
        match self.0 {
            Some((step, value)) if step == t => value,
            _ => self.0.insert((t, compute())).1,
        }
    }
}

/// Returns dα/dγ and dσ/dγ.
fn slopes(gamma: f64) -> (f64, f64) {
    let (a, s) = (alpha(gamma), sigma(gamma));
    (-0.5 * a * s * s, 0.5 * s * a * a)
}

struct State(Rows);

impl CustomOp1 for State {
    fn name(&self) -> &'static str {
        "fused-state"
    }

    fn cpu_fwd(&self, table: &CpuStorage, at: &Layout) -> Result<(CpuStorage, Shape)> {
        let table = slice(table, at, self.name())?;
        let rows = &self.0;
        let open = Open::new([&rows.x, &rows.noise]);
        let slices = open.slices(self.name())?;
        let mut z = vec![0.0; slices[0].len()];
        let mut last = LastStep(None);
        for (row, z) in z.chunks_exact_mut(rows.dim).enumerate() {
            let kernel = last.get_or_compute(rows.t[row], || schedule::kernel(rows.gammas(table, row).1));
            let here = row * rows.dim..(row + 1) * rows.dim;
            lanes::mix(
                z,
                kernel.scale as f32,
                &slices[0][here.clone()],
                kernel.deviation as f32,
                &slices[1][here],
            );
        }
        Ok((CpuStorage::F32(z), rows.x.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, table: &CudaStorage, at: &Layout) -> Result<(CudaStorage, Shape)> {
        let gpu = Gpu::from_storage(table);
        let out = gpu.alloc(self.0.x.elem_count())?;
        let own = OnGpu::new(&self.0)?;
        own.rows(cuda::span(table, at)?)?.state(&gpu, gpu.span(&out))?;
        Ok((gpu.storage(out), self.0.x.shape().clone()))
    }

    /// By `dz/dγ_t = α' x + σ' ε`.
    fn bwd(&self, table: &Tensor, _state: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let rows = &self.0;
        #[cfg(feature = "cuda")]
        if table.device().is_cuda() {
            let gradient = &gradient.contiguous()?;
            let gpu = Gpu::new(table.device())?;
            let found = gpu.tensor(table.shape())?;
            {
                let (by, to, at) = (Held::new(gradient)?, Held::new(&found)?, Held::new(table)?);
                let own = OnGpu::new(rows)?;
                own.rows(at.span()?)?.state_gradient(&gpu, by.span()?, to.span()?)?;
            }
            return Ok(Some(found));
        }
        let gradient = gradient.contiguous()?;
        let open = Open::new([&rows.x, &rows.noise, table, &gradient]);
        let slices = open.slices(self.name())?;
        let mut found = vec![0.0f64; table.elem_count()];
        let mut last = LastStep(None);
        for (row, gradient) in slices[3].chunks_exact(rows.dim).enumerate() {
            let (by_alpha, by_sigma) = last.get_or_compute(rows.t[row], || slopes(rows.gammas(slices[2], row).1));
            let here = row * rows.dim..(row + 1) * rows.dim;
            let along_x = f64::from(lanes::dot(gradient, &slices[0][here.clone()]));
            let along_noise = f64::from(lanes::dot(gradient, &slices[1][here]));
            found[rows.t[row] as usize] += by_alpha * along_x + by_sigma * along_noise;
        }
        narrow(&found, table).map(Some)
    }
}

/// Constants of a step's cost, `½ growth·precision·‖f − (of_noise·ε + of_x·x)‖²`.
#[derive(Clone, Copy)]
struct Terms {
    /// `expm1(γ_t − γ_s)`.
    growth: f64,
    /// Cost of an error of the output at this SNR: `α²` for v (`x − x̂ = σ (f − v)`), the SNR for x.
    precision: f64,
    of_noise: f64,
    of_x: f64,
    /// Derivative d precision/dγ_t.
    by_precision: f64,
    /// Derivatives dα/dγ_t and dσ/dγ_t, as far as they move the target.
    moved: (f64, f64),
}

impl Terms {
    fn new(prediction: Prediction, (gamma_s, gamma_t): (f64, f64)) -> Self {
        let (a, s) = (alpha(gamma_t), sigma(gamma_t));
        let (precision, of_noise, of_x, by_precision, moved) = match prediction {
            Prediction::V => (a * a, a, -s, -a * a * s * s, slopes(gamma_t)),
            Prediction::X | Prediction::Odds { .. } => (snr(gamma_t), 0.0, 1.0, -snr(gamma_t), (0.0, 0.0)),
        };
        Self {
            growth: (gamma_t - gamma_s).exp_m1(),
            precision,
            of_noise,
            of_x,
            by_precision,
            moved,
        }
    }
}

struct Cost {
    rows: Rows,
    prediction: Prediction,
}

impl Cost {
    /// Factor T/n.
    fn share(&self, table: usize) -> f64 {
        (table.max(1) - 1) as f64 / self.rows.t.len().max(1) as f64
    }
}

impl CustomOp2 for Cost {
    fn name(&self) -> &'static str {
        "fused-cost"
    }

    fn cpu_fwd(&self, f: &CpuStorage, f_at: &Layout, table: &CpuStorage, at: &Layout) -> Result<(CpuStorage, Shape)> {
        let (f, table) = (slice(f, f_at, self.name())?, slice(table, at, self.name())?);
        let rows = &self.rows;
        let open = Open::new([&rows.x, &rows.noise]);
        let slices = open.slices(self.name())?;
        let mut error = vec![0.0; rows.dim];
        let mut nats = 0.0;
        let mut last = LastStep(None);
        for (row, f) in f.chunks_exact(rows.dim).enumerate() {
            let terms = last.get_or_compute(rows.t[row], || Terms::new(self.prediction, rows.gammas(table, row)));
            let here = row * rows.dim..(row + 1) * rows.dim;
            let (x, noise) = (&slices[0][here.clone()], &slices[1][here]);
            lanes::error(&mut error, f, terms.of_x as f32, x, terms.of_noise as f32, noise);
            nats += 0.5 * terms.growth * terms.precision * f64::from(lanes::sum_of_squares(&error));
        }
        let nats = nats * self.share(table.len());
        Ok((CpuStorage::F32(vec![nats as f32]), Shape::from(())))
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
        let out = gpu.alloc(1)?;
        let own = OnGpu::new(&self.rows)?;
        let rows = own.rows(cuda::span(table, at)?)?;
        rows.cost(&gpu, cuda::span(f, f_at)?, self.prediction, gpu.span(&out))?;
        Ok((gpu.storage(out), Shape::from(())))
    }

    fn bwd(
        &self,
        f: &Tensor,
        table: &Tensor,
        _nats: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let rows = &self.rows;
        #[cfg(feature = "cuda")]
        if f.device().is_cuda() {
            let gradient = &gradient.contiguous()?;
            let gpu = Gpu::new(f.device())?;
            let (by_output, by_table) = (gpu.tensor(f.shape())?, gpu.tensor(table.shape())?);
            {
                let own = OnGpu::new(rows)?;
                let (f, table, gradient) = (Held::new(f)?, Held::new(table)?, Held::new(gradient)?);
                let (to_output, to_table) = (Held::new(&by_output)?, Held::new(&by_table)?);
                own.rows(table.span()?)?.cost_gradient(
                    &gpu,
                    f.span()?,
                    self.prediction,
                    gradient.span()?,
                    to_output.span()?,
                    to_table.span()?,
                )?;
            }
            return Ok((Some(by_output), Some(by_table)));
        }
        let scale = f64::from(gradient.to_scalar::<f32>()?) * self.share(table.elem_count());
        let open = Open::new([&rows.x, &rows.noise, f, table]);
        let slices = open.slices(self.name())?;
        let mut by_output = vec![0.0; slices[2].len()];
        let mut by_table = vec![0.0f64; slices[3].len()];
        let mut last = LastStep(None);
        for (row, error) in by_output.chunks_exact_mut(rows.dim).enumerate() {
            let terms = last.get_or_compute(rows.t[row], || Terms::new(self.prediction, rows.gammas(slices[3], row)));
            let here = row * rows.dim..(row + 1) * rows.dim;
            let (x, noise, f) = (&slices[0][here.clone()], &slices[1][here.clone()], &slices[2][here]);
            lanes::error(error, f, terms.of_x as f32, x, terms.of_noise as f32, noise);
            let square = f64::from(lanes::sum_of_squares(error));
            // The target moves with γ_t too.
            let (by_alpha, by_sigma) = terms.moved;
            let along = by_alpha * f64::from(lanes::dot(error, noise)) - by_sigma * f64::from(lanes::dot(error, x));
            let step = 0.5 * (terms.growth + 1.0) * terms.precision * square;
            let own = terms.growth * (0.5 * terms.by_precision * square - terms.precision * along);
            let t = rows.t[row] as usize;
            by_table[t] += scale * (step + own);
            by_table[t - 1] -= scale * step;
            lanes::stretch(error, (scale * terms.growth * terms.precision) as f32);
        }
        let by_output = Tensor::from_vec(by_output, f.shape(), f.device())?;
        Ok((Some(by_output), Some(narrow(&by_table, table)?)))
    }
}

/// Returns `values` in f32, as a tensor like another.
fn narrow(values: &[f64], like: &Tensor) -> Result<Tensor> {
    let values: Vec<f32> = values.iter().map(|v| *v as f32).collect();
    Tensor::from_vec(values, like.shape(), like.device())
}

/// The rows, held open for the kernels.
#[cfg(feature = "cuda")]
struct OnGpu<'a> {
    x: Held<'a>,
    noise: Held<'a>,
    t: Held<'a>,
}

#[cfg(feature = "cuda")]
impl<'a> OnGpu<'a> {
    fn new(rows: &'a Rows) -> Result<Self> {
        let Some(t) = &rows.on_gpu else {
            candle_core::bail!("fused ELBO: the data must be on the GPU that the network is on")
        };
        Ok(Self {
            x: Held::new(&rows.x)?,
            noise: Held::new(&rows.noise)?,
            t: Held::new(t)?,
        })
    }

    fn rows<'b>(&'b self, table: device::Span<'b, f32>) -> Result<device::elbo::RowSpans<'b>> {
        Ok(device::elbo::RowSpans {
            x: self.x.span()?,
            noise: self.noise.span()?,
            t: self.t.span()?,
            table,
        })
    }
}
