//! The nats of levels that the network decodes, at a γ for each row.

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
use ancestral::schedule::Prediction;
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use std::sync::OnceLock;

impl Rows {
    /// Computes `−ln p(x | z_0)` of the rows at t = 0 in nats, `(n, 1)`; the other rows have 0.
    ///
    /// * `output`: the network's, `(n, D)`;
    /// * `gamma`: γ of each row, `(n, 1)`.
    ///
    /// # Errors
    /// Fails unless the network predicts odds.
    pub fn level_nats(&self, output: &Tensor, gamma: &Tensor, read_out: ReadOut) -> Result<Tensor> {
        self.check_output(output)?;
        self.check_column(gamma)?;
        if !matches!(read_out.prediction, Prediction::Odds { .. }) {
            candle_core::bail!("the network decodes levels only from odds")
        }
        let op = LevelNats {
            rows: self.clone(),
            read_out,
            kept: OnceLock::new(),
        };
        output.contiguous()?.apply_op2(&gamma.contiguous()?, op)
    }
}

struct LevelNats {
    rows: Rows,
    read_out: ReadOut,
    kept: OnceLock<Gradients>,
}

/// Gradients of each row's nats, which the forward pass computes on the way.
struct Gradients {
    by_output: Vec<f32>,
    /// One for each row.
    by_gamma: Vec<f32>,
}

impl CustomOp2 for LevelNats {
    fn name(&self) -> &'static str {
        "fused-level-nats"
    }

    fn cpu_fwd(&self, f: &CpuStorage, f_at: &Layout, gamma: &CpuStorage, at: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, n) = (&self.rows, self.rows.t.len());
        let open = rows.open();
        let slices = RowSlices::new(rows.dim, &open, slice(f, f_at, self.name())?, self.name())?;
        let mut gradients = Gradients {
            by_output: vec![0.0; slices.x.len()],
            by_gamma: vec![0.0; n],
        };
        let (mut nats, mut value, mut by_gamma) = (vec![0.0; n], vec![0.0; rows.dim], vec![0.0; rows.dim]);
        for (row, &gamma) in slice(gamma, at, self.name())?.iter().enumerate() {
            if rows.t[row] > 0 {
                continue;
            }
            let results = RowResults {
                value: &mut value,
                by_output: &mut gradients.by_output[row * rows.dim..(row + 1) * rows.dim],
                by_gamma: &mut by_gamma,
            };
            RowReadOut::new(self.read_out, f64::from(gamma)).level_nats(slices.row(row), results);
            nats[row] = lanes::sum(&value) as f32;
            gradients.by_gamma[row] = lanes::sum(&by_gamma) as f32;
        }
        self.kept.get_or_init(|| gradients);
        Ok((CpuStorage::F32(nats), Shape::from((n, 1))))
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
        let n = self.rows.x.dim(0)?;
        let out = gpu.alloc(n)?;
        let own = OnGpu::new(&self.rows)?;
        let nats = device::elbo::LevelNats {
            rows: own.rows(cuda::span(gamma, at)?)?,
            output: cuda::span(f, f_at)?,
            read_out: self.read_out,
        };
        nats.forward(&gpu, gpu.span(&out))?;
        Ok((gpu.storage(out), Shape::from((n, 1))))
    }

    fn bwd(
        &self,
        f: &Tensor,
        gamma: &Tensor,
        _nats: &Tensor,
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
                let nats = device::elbo::LevelNats {
                    rows: own.rows(gamma.span()?)?,
                    output: f.span()?,
                    read_out: self.read_out,
                };
                nats.backward(&gpu, gradient.span()?, to_output.span()?, to_gamma.span()?)?;
            }
            return Ok((Some(by_output), Some(by_gamma)));
        }
        let Some(kept) = self.kept.get() else {
            candle_core::bail!("fused ELBO: a gradient without a forward pass")
        };
        let open = Open::new([&gradient]);
        let gradient = open.slices(self.name())?[0];
        let mut by_output = kept.by_output.clone();
        for (row, &gradient) in by_output.chunks_exact_mut(self.rows.dim).zip(gradient) {
            lanes::stretch(row, gradient);
        }
        let by_gamma: Vec<f32> = kept.by_gamma.iter().zip(gradient).map(|(own, by)| own * by).collect();
        Ok((
            Some(Tensor::from_vec(by_output, f.shape(), f.device())?),
            Some(Tensor::from_vec(by_gamma, gamma.shape(), gamma.device())?),
        ))
    }
}
