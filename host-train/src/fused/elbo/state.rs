//! The state z_t.

#[cfg(feature = "cuda")]
use super::gpu::OnGpu;
use super::rows::{LastStep, Rows, narrow};
use crate::fused::lanes;
use crate::fused::storage::{Open, slice};
#[cfg(feature = "cuda")]
use crate::fused::{
    cuda::{self, Gpu, Held},
    device,
};
use ancestral::schedule::{self, alpha, sigma};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

impl Rows {
    /// Computes `z_t = α_t x + σ_t ε`, `(n, D)`, from the table of γ, `(T + 1)`.
    pub fn state(&self, table: &Tensor) -> Result<Tensor> {
        self.check_table(table)?;
        table.contiguous()?.apply_op1(State(self.clone()))
    }
}

struct State(Rows);

/// Returns dα/dγ and dσ/dγ.
fn slopes(gamma: f64) -> (f64, f64) {
    let (a, s) = (alpha(gamma), sigma(gamma));
    (-0.5 * a * s * s, 0.5 * s * a * a)
}

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
        let mut last = LastStep::new();
        for (row, z) in z.chunks_exact_mut(rows.dim).enumerate() {
            let t = rows.t[row];
            let kernel = last.get_or_compute(t, || schedule::kernel(f64::from(table[t as usize])));
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
        device::elbo::state(&gpu, own.rows(cuda::span(table, at)?)?, gpu.span(&out))?;
        Ok((gpu.storage(out), self.0.x.shape().clone()))
    }

    /// By `dz/dγ_t = α' x + σ' ε`.
    fn bwd(&self, table: &Tensor, _state: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let rows = &self.0;
        let gradient = gradient.contiguous()?;
        #[cfg(feature = "cuda")]
        if table.device().is_cuda() {
            let gpu = Gpu::new(table.device())?;
            let found = gpu.tensor(table.shape())?;
            {
                let (by, to, at) = (Held::new(&gradient)?, Held::new(&found)?, Held::new(table)?);
                let own = OnGpu::new(rows)?;
                device::elbo::state_gradient(&gpu, own.rows(at.span()?)?, by.span()?, to.span()?)?;
            }
            return Ok(Some(found));
        }
        let open = Open::new([&rows.x, &rows.noise, table, &gradient]);
        let slices = open.slices(self.name())?;
        let mut found = vec![0.0f64; table.elem_count()];
        let mut last = LastStep::new();
        for (row, gradient) in slices[3].chunks_exact(rows.dim).enumerate() {
            let t = rows.t[row];
            let (by_alpha, by_sigma) = last.get_or_compute(t, || slopes(f64::from(slices[2][t as usize])));
            let here = row * rows.dim..(row + 1) * rows.dim;
            let along_x = f64::from(lanes::dot(gradient, &slices[0][here.clone()]));
            let along_noise = f64::from(lanes::dot(gradient, &slices[1][here]));
            found[t as usize] += by_alpha * along_x + by_sigma * along_noise;
        }
        narrow(&found, table).map(Some)
    }
}
