//! [`Stack`] as one operation in candle's graph, with gradients for inputs, weights and biases.

use super::lanes::Activation;
use super::stack::{Batch, Layer, Stack, Workspace};
use super::storage::{Open, slice};
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use std::sync::{Arc, Mutex};

const NAME: &str = "fused-mlp";

/// A network and the memory of its passes. Clones share the memory; passes that overlap each have their own.
#[derive(Clone, Debug)]
pub struct Mlp {
    stack: Arc<Stack>,
    spare: Arc<Mutex<Vec<Workspace>>>,
}

impl Mlp {
    /// A network of these layers; an error if they do not fit one another.
    pub fn new(layers: Vec<Layer>, activation: Activation) -> Result<Self> {
        match Stack::new(layers, activation) {
            Ok(stack) => Ok(Self {
                stack: Arc::new(stack),
                spare: Arc::default(),
            }),
            Err(sentence) => candle_core::bail!("{NAME}: {sentence}"),
        }
    }

    /// The sizes.
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// The outputs, `(n, rows of the last layer)`.
    ///
    /// * `inputs`: `(n, columns of the first layer)`;
    /// * `weights`: all matrices, flat;
    /// * `biases`: `(k, rows of all layers)`;
    /// * `index`: row of `biases` for each row of the batch, n of them below k;
    /// * `masks`: of each hidden layer what its activations are multiplied with, `(n, rows)`; no masks for none.
    ///
    /// All of them `f32` on the CPU; an error says which shape does not fit.
    pub fn forward(
        &self,
        inputs: &Tensor,
        weights: &Tensor,
        biases: &Tensor,
        index: Vec<u32>,
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
        if index.iter().any(|&i| i >= entries) {
            candle_core::bail!("{NAME}: a row of the batch takes its biases from beyond the table")
        }
        let masks = masks.iter().map(Tensor::contiguous).collect::<Result<_>>()?;
        let op = Pass {
            mlp: self.clone(),
            index,
            masks,
            space: Mutex::new((self.take(), false)),
        };
        inputs
            .contiguous()?
            .apply_op3(&weights.contiguous()?, &biases.contiguous()?, op)
    }

    fn take(&self) -> Workspace {
        let spare = self.spare.lock().ok().and_then(|mut spare| spare.pop());
        spare.unwrap_or_default()
    }
}

/// One evaluation: lives as long as its node of the graph.
struct Pass {
    mlp: Mlp,
    index: Vec<u32>,
    masks: Vec<Tensor>,
    /// And whether it holds what a backward pass needs, which only the first finds.
    space: Mutex<(Workspace, bool)>,
}

impl Drop for Pass {
    fn drop(&mut self) {
        let (space, _) = self.space.get_mut().map(std::mem::take).unwrap_or_default();
        if let Ok(mut spare) = self.mlp.spare.lock() {
            spare.push(space);
        }
    }
}

impl Pass {
    fn space(&self) -> Result<std::sync::MutexGuard<'_, (Workspace, bool)>> {
        match self.space.lock() {
            Ok(space) => Ok(space),
            Err(_) => candle_core::bail!("{NAME}: an earlier pass was broken off"),
        }
    }
}

impl CustomOp3 for Pass {
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
        let masks = Open::new(&self.masks);
        let batch = Batch {
            inputs: slice(inputs, inputs_at, NAME)?,
            weights: slice(weights, weights_at, NAME)?,
            biases: slice(biases, biases_at, NAME)?,
            index: &self.index,
            masks: &masks.slices(NAME)?,
        };
        let mut space = self.space()?;
        let out = stack.forward(batch, &mut space.0);
        space.1 = true;
        Ok((CpuStorage::F32(out), (self.index.len(), stack.outputs()).into()))
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
        let found = {
            let open = Open::new([inputs, weights, biases, &gradient].into_iter().chain(&self.masks));
            let slices = open.slices(NAME)?;
            let [of_inputs, of_weights, of_biases, gradient, masks @ ..] = slices.as_slice() else {
                candle_core::bail!("{NAME}: operands are missing")
            };
            let batch = Batch {
                inputs: of_inputs,
                weights: of_weights,
                biases: of_biases,
                index: &self.index,
                masks,
            };
            let mut space = self.space()?;
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
