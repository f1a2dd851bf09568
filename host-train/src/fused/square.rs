//! The mean squared error as one operation: the noise-prediction loss of `host-train bench`.

#[cfg(feature = "cuda")]
use super::{
    cuda::{self, Gpu, Held},
    device,
};
use super::{
    lanes,
    storage::{Open, slice},
};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

const NAME: &str = "fused-square";

/// Returns `mean (output − target)²`, a scalar. Both are `f32` of one shape; the target has no gradient.
pub fn mean_square(output: &Tensor, target: &Tensor) -> Result<Tensor> {
    if output.shape() != target.shape() || output.elem_count() == 0 {
        candle_core::bail!("{NAME}: output and target must have the same shape")
    }
    output.contiguous()?.apply_op1(Square(target.contiguous()?))
}

struct Square(Tensor);

/// Elements of one partial sum in f32; their sums are added in f64.
const BLOCK: usize = 4096;

impl CustomOp1 for Square {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, output: &CpuStorage, at: &Layout) -> Result<(CpuStorage, Shape)> {
        let output = slice(output, at, NAME)?;
        let open = Open::new([&self.0]);
        let target = open.slices(NAME)?[0];
        let mut error = vec![0.0; BLOCK.min(output.len())];
        let mut sum = 0.0;
        for (output, target) in output.chunks(BLOCK).zip(target.chunks(BLOCK)) {
            let error = &mut error[..output.len()];
            lanes::error(error, output, 1.0, target, 0.0, target);
            sum += f64::from(lanes::sum_of_squares(error));
        }
        let mean = sum / output.len() as f64;
        Ok((CpuStorage::F32(vec![mean as f32]), Shape::from(())))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, output: &CudaStorage, at: &Layout) -> Result<(CudaStorage, Shape)> {
        let gpu = Gpu::from_storage(output);
        let (mean, target) = (gpu.alloc(1)?, Held::new(&self.0)?);
        device::square::mean_square(&gpu, cuda::span(output, at)?, target.span()?, gpu.span(&mean))?;
        Ok((gpu.storage(mean), Shape::from(())))
    }

    fn bwd(&self, output: &Tensor, _mean: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        #[cfg(feature = "cuda")]
        if output.device().is_cuda() {
            let gradient = &gradient.contiguous()?;
            let gpu = Gpu::new(output.device())?;
            let found = gpu.tensor(output.shape())?;
            let (from, target) = (Held::new(output)?, Held::new(&self.0)?);
            let (by, to) = (Held::new(gradient)?, Held::new(&found)?);
            device::square::mean_square_gradient(&gpu, from.span()?, target.span()?, by.span()?, to.span()?)?;
            drop(to);
            return Ok(Some(found));
        }
        let scale = 2.0 * gradient.to_scalar::<f32>()? / output.elem_count() as f32;
        let found = {
            let open = Open::new([output, &self.0]);
            let slices = open.slices(NAME)?;
            let mut found = vec![0.0; slices[0].len()];
            lanes::error(&mut found, slices[0], 1.0, slices[1], 0.0, slices[1]);
            lanes::stretch(&mut found, scale);
            found
        };
        Tensor::from_vec(found, output.shape(), output.device()).map(Some)
    }
}
