//! The error of each row's estimate at a γ of its own, in the unit 1/√SNR.

#[cfg(feature = "cuda")]
use super::gpu::OnGpu;
use super::rows::{RowSlices, Rows};
use crate::fused::lanes;
use crate::fused::read_out::{ReadOut, RowReadOut, RowResults};
use crate::fused::storage::{Open, slice};
#[cfg(feature = "cuda")]
use crate::fused::{
    cuda::{self, Gpu, Held},
    device,
};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use std::sync::OnceLock;

impl Rows {
    /// Computes the error √SNR·(x̂ − x) of each row, `(n, D)`.
    ///
    /// * `output`: the network's, `(n, D)`;
    /// * `gamma`: γ of each row, `(n, 1)`.
    pub fn error(&self, output: &Tensor, gamma: &Tensor, read_out: ReadOut) -> Result<Tensor> {
        self.check_output(output)?;
        self.check_column(gamma)?;
        let op = RowError {
            rows: self.clone(),
            read_out,
            kept: OnceLock::new(),
        };
        output.contiguous()?.apply_op2(&gamma.contiguous()?, op)
    }
}

struct RowError {
    rows: Rows,
    read_out: ReadOut,
    /// Derivatives of each number by the output and by γ, which the forward pass computes on the way.
    kept: OnceLock<[Vec<f32>; 2]>,
}

impl CustomOp2 for RowError {
    fn name(&self) -> &'static str {
        "fused-error"
    }

    fn cpu_fwd(&self, f: &CpuStorage, f_at: &Layout, gamma: &CpuStorage, at: &Layout) -> Result<(CpuStorage, Shape)> {
        let rows = &self.rows;
        let open = rows.open();
        let slices = RowSlices::new(rows.dim, &open, slice(f, f_at, self.name())?, self.name())?;
        let [mut error, mut by_output, mut by_gamma] = [(); 3].map(|()| vec![0.0; slices.x.len()]);
        for (row, &gamma) in slice(gamma, at, self.name())?.iter().enumerate() {
            let here = row * rows.dim..(row + 1) * rows.dim;
            let results = RowResults {
                value: &mut error[here.clone()],
                by_output: &mut by_output[here.clone()],
                by_gamma: &mut by_gamma[here],
            };
            RowReadOut::new(self.read_out, f64::from(gamma)).error(slices.row(row), results);
        }
        self.kept.get_or_init(|| [by_output, by_gamma]);
        Ok((CpuStorage::F32(error), rows.x.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        f: &CudaStorage,
        f_at: &Layout,
        gamma: &CudaStorage,
        at: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let gpu = Gpu::from_storage(f);
        let out = gpu.alloc(self.rows.x.elem_count())?;
        let own = OnGpu::new(&self.rows)?;
        let error = device::elbo::RowError {
            rows: own.rows(cuda::span(gamma, at)?)?,
            output: cuda::span(f, f_at)?,
            read_out: self.read_out,
        };
        error.forward(&gpu, gpu.span(&out))?;
        Ok((gpu.storage(out), self.rows.x.shape().clone()))
    }

    fn bwd(
        &self,
        f: &Tensor,
        gamma: &Tensor,
        _error: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        #[cfg(feature = "cuda")]
        if f.device().is_cuda() {
            let gpu = Gpu::new(f.device())?;
            let (by_output, by_gamma) = (gpu.tensor(f.shape())?, gpu.tensor(gamma.shape())?);
            {
                let own = OnGpu::new(&self.rows)?;
                let (f, gamma, gradient) = (Held::new(f)?, Held::new(gamma)?, Held::new(&gradient)?);
                let (to_output, to_gamma) = (Held::new(&by_output)?, Held::new(&by_gamma)?);
                let error = device::elbo::RowError {
                    rows: own.rows(gamma.span()?)?,
                    output: f.span()?,
                    read_out: self.read_out,
                };
                error.backward(&gpu, gradient.span()?, to_output.span()?, to_gamma.span()?)?;
            }
            return Ok((Some(by_output), Some(by_gamma)));
        }
        let Some([by_output, by_gamma]) = self.kept.get() else {
            candle_core::bail!("fused ELBO: a gradient without a forward pass")
        };
        let open = Open::new([&gradient]);
        let gradient = open.slices(self.name())?[0];
        let mut to_output = by_output.clone();
        lanes::scale(&mut to_output, gradient);
        let dim = self.rows.dim;
        let pairs = gradient.chunks_exact(dim).zip(by_gamma.chunks_exact(dim));
        let to_gamma: Vec<f32> = pairs
            .map(|(gradient, by_gamma)| lanes::dot(gradient, by_gamma))
            .collect();
        Ok((
            Some(Tensor::from_vec(to_output, f.shape(), f.device())?),
            Some(Tensor::from_vec(to_gamma, gamma.shape(), gamma.device())?),
        ))
    }
}
