//! [`Stack`] as one operation in candle's graph, with gradients for inputs, weights and biases.

use super::device::Products;
use super::index::Index;
use super::lanes::Activation;
use super::stack::{Batch, LayerShape, Stack, Workspace};
use super::storage::{Open, slice};
#[cfg(feature = "cuda")]
use super::{
    cuda::{self, Gpu, Held},
    device,
};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use std::sync::{Arc, Mutex, MutexGuard};

const NAME: &str = "fused-mlp";

/// A network and the memory of its passes. Clones share the memory; passes that overlap each have their own.
#[derive(Clone, Debug)]
pub struct Mlp {
    stack: Arc<Stack>,
    products: Products,
    spare: Arc<Mutex<Vec<Workspace>>>,
    #[cfg(feature = "cuda")]
    spare_on_gpu: Arc<Mutex<Vec<cuda::GpuSpace>>>,
}

impl Mlp {
    /// Returns a network of these layers; an error if they do not fit one another.
    pub fn new(layers: Vec<LayerShape>, activation: Activation) -> Result<Self> {
        match Stack::new(layers, activation) {
            Ok(stack) => Ok(Self {
                stack: Arc::new(stack),
                products: Products::F32,
                spare: Arc::default(),
                #[cfg(feature = "cuda")]
                spare_on_gpu: Arc::default(),
            }),
            Err(sentence) => candle_core::bail!("{NAME}: {sentence}"),
        }
    }

    /// Sets the number format of products on a GPU. The CPU always multiplies in f32.
    pub fn set_products(&mut self, products: Products) {
        self.products = products;
    }

    /// Layers of the network.
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// Computes the outputs, `(n, rows of the last layer)`.
    ///
    /// * `inputs`: `(n, columns of the first layer)`;
    /// * `weights`: all matrices, flat, one after another;
    /// * `biases`: `(k, rows of all layers)`;
    /// * `index`: row of `biases`, below k, for each of the n rows of the batch; in ascending order on a GPU;
    /// * `masks`: factors of each hidden layer's activations, `(n, rows)`; empty for no dropout.
    ///
    /// All tensors are `f32` on one device. An error names the shape that does not fit.
    pub fn forward(
        &self,
        inputs: &Tensor,
        weights: &Tensor,
        biases: &Tensor,
        index: Index,
        masks: &[Tensor],
    ) -> Result<Tensor> {
        let s = &self.stack;
        let n = index.len();
        let hidden = s.hidden();
        let fits = [
            ("inputs", inputs.dims() == [n, s.inputs()]),
            ("weights", weights.dims() == [s.weights()]),
            ("biases", biases.rank() == 2 && biases.dim(1)? == s.bias_rows()),
            ("masks", masks.is_empty() || masks.len() == hidden.len()),
            (
                "masks",
                masks.iter().zip(&hidden).all(|(m, &rows)| m.dims() == [n, rows]),
            ),
        ];
        if let Some((what, _)) = fits.iter().find(|(_, fits)| !fits) {
            candle_core::bail!("{NAME}: the shape of the {what} is not that of this network and batch")
        }
        let entries = biases.dim(0)? as u32;
        let beyond = |index: &[u32]| index.iter().any(|&i| i >= entries);
        if matches!(&index, Index::Host(index) if beyond(index)) {
            candle_core::bail!("{NAME}: a row of the batch takes its biases from beyond the table")
        }
        let index = match inputs.device().is_cuda() {
            true => Index::Device(index.tensor(inputs.device())?),
            false => Index::Host(index.host()?.into_owned()),
        };
        let masks = masks.iter().map(Tensor::contiguous).collect::<Result<_>>()?;
        let op = NetworkPass {
            mlp: self.clone(),
            index,
            masks,
            space: Mutex::new((take(&self.spare), false)),
            #[cfg(feature = "cuda")]
            space_on_gpu: Mutex::new((take(&self.spare_on_gpu), false)),
        };
        inputs
            .contiguous()?
            .apply_op3(&weights.contiguous()?, &biases.contiguous()?, op)
    }
}

/// Returns the memory of an earlier pass, or new memory.
fn take<S: Default>(spare: &Mutex<Vec<S>>) -> S {
    let spare = spare.lock().ok().and_then(|mut spare| spare.pop());
    spare.unwrap_or_default()
}

/// Leaves the memory of a pass to the next.
fn leave<S: Default>(space: &mut Mutex<(S, bool)>, spare: &Mutex<Vec<S>>) {
    let (space, _) = space.get_mut().map(std::mem::take).unwrap_or_default();
    if let Ok(mut spare) = spare.lock() {
        spare.push(space);
    }
}

/// One evaluation, which lives as long as its node of the graph.
struct NetworkPass {
    mlp: Mlp,
    index: Index,
    masks: Vec<Tensor>,
    /// Memory, and whether it holds the slopes of a forward pass: only the first backward pass finds them.
    space: Mutex<(Workspace, bool)>,
    #[cfg(feature = "cuda")]
    space_on_gpu: Mutex<(cuda::GpuSpace, bool)>,
}

impl Drop for NetworkPass {
    fn drop(&mut self) {
        leave(&mut self.space, &self.mlp.spare);
        #[cfg(feature = "cuda")]
        leave(&mut self.space_on_gpu, &self.mlp.spare_on_gpu);
    }
}

fn lock<S>(space: &Mutex<S>) -> Result<MutexGuard<'_, S>> {
    match space.lock() {
        Ok(space) => Ok(space),
        Err(_) => candle_core::bail!("{NAME}: an earlier pass panicked: begin again from the last checkpoint"),
    }
}

impl CustomOp3 for NetworkPass {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        inputs: &CpuStorage,
        inputs_at: &Layout,
        weights: &CpuStorage,
        weights_at: &Layout,
        biases: &CpuStorage,
        biases_at: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let stack = &self.mlp.stack;
        let (masks, index) = (Open::new(&self.masks), self.index.host()?);
        let batch = Batch {
            inputs: slice(inputs, inputs_at, NAME)?,
            weights: slice(weights, weights_at, NAME)?,
            biases: slice(biases, biases_at, NAME)?,
            index: &index,
            masks: &masks.slices(NAME)?,
        };
        let mut space = lock(&self.space)?;
        let out = stack.forward(batch, &mut space.0);
        space.1 = true;
        Ok((CpuStorage::F32(out), (self.index.len(), stack.outputs()).into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        inputs: &CudaStorage,
        inputs_at: &Layout,
        weights: &CudaStorage,
        weights_at: &Layout,
        biases: &CudaStorage,
        biases_at: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let (stack, gpu) = (&self.mlp.stack, Gpu::from_storage(inputs));
        let held = OnGpu::new(self)?;
        let batch = held.batch(
            cuda::span(inputs, inputs_at)?,
            cuda::span(weights, weights_at)?,
            cuda::span(biases, biases_at)?,
        )?;
        let shape = (self.index.len(), stack.outputs());
        let out = gpu.alloc(shape.0 * shape.1)?;
        let mut space = lock(&self.space_on_gpu)?;
        device::mlp::forward(&gpu, stack, &batch, self.mlp.products, &mut space.0, gpu.span(&out))?;
        space.1 = true;
        Ok((gpu.storage(out), shape.into()))
    }

    fn bwd(
        &self,
        inputs: &Tensor,
        weights: &Tensor,
        biases: &Tensor,
        _outputs: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let stack = &self.mlp.stack;
        let gradient = gradient.contiguous()?;
        #[cfg(feature = "cuda")]
        if inputs.device().is_cuda() {
            return self.cuda_bwd(inputs, weights, biases, &gradient);
        }
        let found = {
            let open = Open::new([inputs, weights, biases, &gradient].into_iter().chain(&self.masks));
            let slices = open.slices(NAME)?;
            let [of_inputs, of_weights, of_biases, gradient, masks @ ..] = slices.as_slice() else {
                candle_core::bail!("{NAME}: operands are missing")
            };
            let index = self.index.host()?;
            let batch = Batch {
                inputs: of_inputs,
                weights: of_weights,
                biases: of_biases,
                index: &index,
                masks,
            };
            let mut space = lock(&self.space)?;
            if !space.1 {
                stack.forward(batch, &mut space.0);
            }
            space.1 = false;
            stack.backward(batch, &mut space.0, gradient, inputs.track_op())
        };
        let device = inputs.device();
        let of_inputs = match found.inputs {
            Some(values) => Some(Tensor::from_vec(values, inputs.shape(), device)?),
            None => None,
        };
        Ok((
            of_inputs,
            Some(Tensor::from_vec(found.weights, weights.shape(), device)?),
            Some(Tensor::from_vec(found.biases, biases.shape(), device)?),
        ))
    }
}

#[cfg(feature = "cuda")]
impl NetworkPass {
    fn cuda_bwd(
        &self,
        inputs: &Tensor,
        weights: &Tensor,
        biases: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (stack, products) = (&self.mlp.stack, self.mlp.products);
        let gpu = Gpu::new(inputs.device())?;
        let of_inputs = match inputs.track_op() {
            true => Some(gpu.tensor(inputs.shape())?),
            false => None,
        };
        let (of_weights, of_biases) = (gpu.tensor(weights.shape())?, gpu.tensor(biases.shape())?);
        {
            let held = OnGpu::new(self)?;
            let (inputs, weights, biases) = (Held::new(inputs)?, Held::new(weights)?, Held::new(biases)?);
            let batch = held.batch(inputs.span()?, weights.span()?, biases.span()?)?;
            let to_inputs = of_inputs.as_ref().map(Held::new).transpose()?;
            let (to_weights, to_biases) = (Held::new(&of_weights)?, Held::new(&of_biases)?);
            let found = device::mlp::GradientSpans {
                inputs: to_inputs.as_ref().map(Held::span).transpose()?,
                weights: to_weights.span()?,
                biases: to_biases.span()?,
            };
            let mut space = lock(&self.space_on_gpu)?;
            if !space.1 {
                let again = gpu.alloc(gradient.elem_count())?;
                device::mlp::forward(&gpu, stack, &batch, products, &mut space.0, gpu.span(&again))?;
            }
            space.1 = false;
            let gradient = Held::new(gradient)?;
            device::mlp::backward(&gpu, stack, &batch, products, &mut space.0, gradient.span()?, &found)?;
        }
        Ok((of_inputs, Some(of_weights), Some(of_biases)))
    }
}

/// Operands that a pass owns, held open for the kernels.
#[cfg(feature = "cuda")]
struct OnGpu<'a> {
    index: Held<'a>,
    masks: Vec<Held<'a>>,
}

#[cfg(feature = "cuda")]
impl<'a> OnGpu<'a> {
    fn new(pass: &'a NetworkPass) -> Result<Self> {
        let Index::Device(index) = &pass.index else {
            candle_core::bail!("{NAME}: the index must be on the GPU that the inputs are on")
        };
        Ok(Self {
            index: Held::new(index)?,
            masks: pass.masks.iter().map(Held::new).collect::<Result<_>>()?,
        })
    }

    fn batch<'b>(
        &'b self,
        inputs: device::Span<'b, f32>,
        weights: device::Span<'b, f32>,
        biases: device::Span<'b, f32>,
    ) -> Result<device::mlp::BatchSpans<'b>> {
        Ok(device::mlp::BatchSpans {
            inputs,
            weights,
            biases,
            index: self.index.span()?,
            masks: self.masks.iter().map(Held::span).collect::<Result<_>>()?,
        })
    }
}
